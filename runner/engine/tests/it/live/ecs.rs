//! A task of ECS on the engine: field by field, what its definition says is what its
//! containers are.

use std::path::Path;

use prodmirror_engine::docker::Found;
use prodmirror_engine::live::ExecRequest;
use prodmirror_model::compile::{Inputs, compile};
use prodmirror_model::project::Project;
use prodmirror_model::secret::Secret;
use serde_json::{Value, json};

use super::rig::{Rig, on_engine};

const IMAGE: &str = "registry.shop.example/redis:7.0";

const TASK: &str = r#"{
  "family": "task", "networkMode": "awsvpc", "requiresCompatibilities": ["EC2"], "cpu": "1024", "memory": "512",
  "pidMode": "task",
  "containerDefinitions": [
    { "name": "main", "image": "IMAGE", "essential": true, "cpu": 128, "memory": 96, "memoryReservation": 48,
      "entryPoint": ["sh", "-c"], "command": ["trap 'exit 0' TERM; sleep 600 & wait"],
      "user": "1000:1000", "workingDirectory": "/tmp", "readonlyRootFilesystem": true, "interactive": true, "pseudoTerminal": true,
      "environmentFiles": [{ "type": "s3", "value": "arn:aws:s3:::b/first.env" }, { "type": "s3", "value": "arn:aws:s3:::b/second.env" }],
      "environment": [{ "name": "LITERAL", "value": "$HOME {{x}} 'q'" }, { "name": "KEY", "value": "loses" }],
      "secrets": [{ "name": "KEY", "valueFrom": "/app/key" }],
      "dockerLabels": { "com.example.team": "store" },
      "dockerSecurityOptions": ["no-new-privileges"],
      "stopTimeout": 3,
      "ulimits": [{ "name": "nproc", "softLimit": 100, "hardLimit": 200 }],
      "linuxParameters": { "capabilities": { "add": ["SYS_PTRACE"], "drop": ["NET_RAW"] }, "initProcessEnabled": true,
        "sharedMemorySize": 32, "maxSwap": 0, "tmpfs": [{ "containerPath": "/scratch", "size": 8, "mountOptions": ["mode=1777"] }] },
      "systemControls": [{ "namespace": "net.core.somaxconn", "value": "600" }, { "namespace": "kernel.msgmax", "value": "65536" }],
      "portMappings": [{ "containerPort": 7000 }],
      "mountPoints": [{ "sourceVolume": "shared", "containerPath": "/shared", "readOnly": true }],
      "healthCheck": { "command": ["CMD-SHELL", "redis-cli -h localhost ping"], "interval": 7, "timeout": 4, "retries": 6, "startPeriod": 9 },
      "dependsOn": [
        { "containerName": "fill", "condition": "SUCCESS" }, { "containerName": "fails", "condition": "COMPLETE" },
        { "containerName": "side", "condition": "HEALTHY" } ],
      "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "x" } } },
    { "name": "side", "image": "IMAGE", "essential": true, "command": ["redis-server", "--save", "", "--port", "6379"],
      "healthCheck": { "command": ["CMD", "redis-cli", "ping"], "interval": 1 } },
    { "name": "fill", "image": "IMAGE", "essential": false, "user": "0", "entryPoint": ["sh", "-c"], "command": ["echo filled > /shared/file"],
      "mountPoints": [{ "sourceVolume": "shared", "containerPath": "/shared" }] },
    { "name": "fails", "image": "IMAGE", "essential": false, "entryPoint": ["sh", "-c"], "command": ["exit 3"] }
  ],
  "volumes": [{ "name": "shared", "host": {} }]
}"#;

const MIRROR: &str = r#"
project: ecs
production: [task.json]
secrets: { /app/key: { stub: "s3cret" } }
supply: { ecs: { names: { task: [task.example] }, env_files: { first.env: { content: "A=1\nB=\"b\"\n" }, second.env: { content: "A=2\nC=3\n" } } } }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_what_its_definition_says() {
    on_engine(|rig| async move {
        let dir = tempfile::tempdir().unwrap();
        let stack = start(&rig, dir.path()).await;
        let objects = rig.left(stack.run()).await;
        let main = inspected(&rig, &objects, "service", "main").await;
        let sandbox = inspected(&rig, &objects, "sandbox", "task").await;
        let (config, host) = (&main["Config"], &main["HostConfig"]);
        let second = |n: u64| json!(n * 1_000_000_000);
        let expected = [
            (&config["Image"], json!(IMAGE)),
            (&config["Entrypoint"], json!(["sh", "-c"])),
            (
                &config["Cmd"],
                json!(["trap 'exit 0' TERM; sleep 600 & wait"]),
            ),
            (&config["User"], json!("1000:1000")),
            (&config["WorkingDir"], json!("/tmp")),
            (&config["Tty"], json!(true)),
            (&config["OpenStdin"], json!(true)),
            (&config["StopTimeout"], json!(3)),
            (&config["Labels"]["com.example.team"], json!("store")),
            (
                &config["Healthcheck"]["Test"],
                json!(["CMD-SHELL", "redis-cli -h localhost ping"]),
            ),
            (&config["Healthcheck"]["Interval"], second(7)),
            (&config["Healthcheck"]["Timeout"], second(4)),
            (&config["Healthcheck"]["Retries"], json!(6)),
            (&config["Healthcheck"]["StartPeriod"], second(9)),
            (&host["CpuShares"], json!(128)),
            (&host["CpuQuota"], json!(100_000)),
            (&host["Memory"], json!(96 << 20)),
            (&host["MemoryReservation"], json!(48 << 20)),
            (&host["MemorySwap"], json!(96 << 20)),
            (&host["ReadonlyRootfs"], json!(true)),
            (&host["Init"], json!(true)),
            (&host["ShmSize"], json!(32 << 20)),
            (&host["CapAdd"], json!(["SYS_PTRACE"])),
            (&host["CapDrop"], json!(["NET_RAW"])),
            (&host["SecurityOpt"], json!(["no-new-privileges"])),
            (&host["Tmpfs"], json!({"/scratch": "size=8m,mode=1777"})),
            (
                &host["Ulimits"],
                json!([{"Name": "nproc", "Hard": 200, "Soft": 100}]),
            ),
            (&host["Sysctls"], json!({"kernel.msgmax": "65536"})),
            (&host["LogConfig"]["Type"], json!("json-file")),
            (
                &sandbox["HostConfig"]["Sysctls"],
                json!({"net.core.somaxconn": "600"}),
            ),
        ];
        for (i, (actual, expected)) in expected.iter().enumerate() {
            assert_eq!(*actual, expected, "field {i}");
        }
        let said = run(
            &stack,
            "main",
            "env; cat /shared/file; redis-cli -h localhost ping; touch /shared/x 2>&1; true",
        )
        .await;
        for line in [
            "A=1",
            "B=\"b\"",
            "C=3",
            "KEY=s3cret",
            "LITERAL=$HOME {{x}} 'q'",
            "filled",
            "PONG",
        ] {
            assert!(
                said.lines().any(|l| l.trim_end() == line),
                "{line} is not in\n{said}"
            );
        }
        assert!(said.contains("Read-only file system"), "{said}");
        let pids = run(
            &stack,
            "main",
            "for p in /proc/[0-9]*; do cat $p/comm; done",
        )
        .await;
        assert!(
            pids.contains("redis-server"),
            "the task's processes are not shared:\n{pids}"
        );
        let names = sandbox["NetworkSettings"]["Networks"].to_string();
        for name in ["task.example", "\"main\"", "\"side\""] {
            assert!(names.contains(name), "{name} is not in {names}");
        }
    })
    .await;
}

async fn start(rig: &Rig, dir: &Path) -> prodmirror_engine::live::LiveStack {
    std::fs::write(dir.join("task.json"), TASK.replace("IMAGE", IMAGE)).unwrap();
    std::fs::write(dir.join("mirror.yaml"), MIRROR).unwrap();
    let project = Project::load(dir).unwrap_or_else(|e| panic!("{e}"));
    let inputs = Inputs {
        agent_image: rig.agent.clone(),
        ..Inputs::default()
    };
    let compiled = compile(&project, &inputs).unwrap_or_else(|e| panic!("{e}"));
    let stack = compiled.ready().unwrap_or_else(|e| panic!("{e}"));
    let values = stack.variables.keys();
    let values = values
        .map(|name| (name.clone(), Secret::new("s3cret")))
        .collect();
    let facts = rig.engine.facts().for_plan(None);
    let plan = stack
        .plan(&project, &values, facts)
        .unwrap_or_else(|e| panic!("{e}"));
    rig.up(plan).await.unwrap_or_else(|e| panic!("{e}"))
}

async fn inspected(rig: &Rig, objects: &[Found], role: &str, service: &str) -> Value {
    let of = |o: &&Found| {
        o.label("dev.prodmirror.role") == role && o.label("dev.prodmirror.service") == service
    };
    let object = objects.iter().find(of).expect("a container");
    let shown = rig.engine.inspect_raw(object).await.unwrap();
    serde_json::from_str(&shown).unwrap()
}

async fn run(stack: &prodmirror_engine::live::LiveStack, service: &str, script: &str) -> String {
    let request = ExecRequest {
        service: service.into(),
        command: ["sh", "-c", script].map(Into::into).into(),
        ..ExecRequest::default()
    };
    let done = stack.exec(request).await.unwrap_or_else(|e| panic!("{e}"));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
