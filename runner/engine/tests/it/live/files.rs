use prodmirror_engine::live::ExecRequest;
use prodmirror_model::plan::FileContent;
use prodmirror_model::secret::Secret;
use serde_json::json;

use super::plan::{plan, service};
use super::rig::on_engine;

const SECRET: &str = "correct-horse-battery-staple";

#[tokio::test(flavor = "multi_thread")]
async fn files_and_secrets_reach_read_only_services_and_nothing_else_shows_them() {
    on_engine(|rig| async move {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf.d")).unwrap();
        std::fs::write(dir.path().join("conf.d/a.conf"), "from a directory").unwrap();
        // The service prints two of its files, then holds.
        let web = service("web", &[])
            .with(|c| {
                c.image = "registry.shop.example/debian:bookworm".into();
                c.body["Cmd"] = json!(["sleep", "1000"]);
            })
            .host("ReadonlyRootfs", json!(true))
            .host("Tmpfs", json!({"/run": ""}))
            .file("/etc/app/app.conf", FileContent::Text("plain".into()))
            .file(
                "/etc/app/conf.d",
                FileContent::HostPath(dir.path().join("conf.d")),
            )
            .file("/run/secrets/key", FileContent::Secret(Secret::new(SECRET)))
            .secret_env("TOKEN", SECRET);
        let stack = rig.up(plan([web])).await.unwrap_or_else(|e| panic!("{e}"));
        let script = "cat /etc/app/app.conf /etc/app/conf.d/a.conf /run/secrets/key; echo $TOKEN; \
                      touch /etc/app/app.conf /run/secrets/key 2>&1; stat -fc %T /run/secrets/key";
        let done = stack
            .exec(ExecRequest {
                service: "web".into(),
                command: ["sh", "-c", script].map(Into::into).into(),
                ..ExecRequest::default()
            })
            .await
            .unwrap();
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(
            out.starts_with(&format!("plainfrom a directory{SECRET}{SECRET}\n")),
            "{out}"
        );
        assert_eq!(out.matches("Read-only file system").count(), 2, "{out}");
        assert!(out.ends_with("tmpfs\n"), "{out}");

        // What the engine shows of everything but the service's own environment.
        for object in rig.left(stack.run()).await {
            let shown = rig.engine.inspect_raw(&object).await.unwrap();
            if object.label("dev.prodmirror.role") == "service" {
                assert_eq!(
                    shown.matches(SECRET).count(),
                    1,
                    "only its environment: {shown}"
                );
            } else {
                assert!(!shown.contains(SECRET), "{shown}");
            }
        }
        let run = stack.run().to_owned();
        stack.down(None).await;
        rig.assert_clean(&run).await;
    })
    .await;
}
