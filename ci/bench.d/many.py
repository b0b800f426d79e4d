"""A production of many services, in each format: a web service with a health check, limits, a volume, a config and ten
variables, each calling the next one."""
import functools
import json

IMAGE = "registry.shop.example/shop/orders:2.4.0"
VARIABLES = {f"SETTING_{n}": f"value-{n}" for n in range(9)}


def variables(n):
    return VARIABLES | {"NEXT_URL": f"http://svc-{n + 1}:8080/"}


def compose(count):
    """A Compose file."""
    services = {
        f"svc-{n}": {
            "image": IMAGE,
            "environment": variables(n),
            "user": "10001:10001",
            "read_only": True,
            "expose": ["8080"],
            "healthcheck": {"test": ["CMD", "http-ok", "8080", "/health"], "interval": "10s"},
            "deploy": {"resources": {"limits": {"cpus": "0.5", "memory": "256M"}}},
            "volumes": [f"data-{n}:/var/lib/app"],
            "configs": [{"source": "settings", "target": "/etc/app/settings.conf"}],
            "networks": ["back"],
            "restart": "unless-stopped",
        }
        for n in range(count)
    }
    return {
        "services": services,
        "volumes": {f"data-{n}": {} for n in range(count)},
        "configs": {"settings": {"content": "level = 1\n"}},
        "networks": {"back": {}},
    }


def swarm(count):
    stack = compose(count)
    for service in stack["services"].values():
        del service["restart"], service["expose"]
        service["deploy"] |= {"replicas": 1, "restart_policy": {"condition": "any"}, "endpoint_mode": "vip"}
    return {"version": "3.8", **stack}


def kubernetes(count, links=False):
    """With service links every container has variables of every Service: 7 times 200 times 200 of them."""
    objects = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings"},
            "data": {"settings.conf": "level = 1\n"},
        }
    ]
    for n in range(count):
        name = f"svc-{n}"
        labels = {"app": name}
        container = {
            "name": "app",
            "image": IMAGE,
            "env": [{"name": k, "value": v} for k, v in variables(n).items()],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}},
            "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": 10001},
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/lib/app"},
                {"name": "settings", "mountPath": "/etc/app"},
            ],
        }
        volumes = [{"name": "data", "emptyDir": {}}, {"name": "settings", "configMap": {"name": "settings"}}]
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": volumes}}
        template["spec"]["enableServiceLinks"] = links
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        ports = [{"port": 8080, "targetPort": "http"}]
        objects += [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": labels, "ports": ports}},
        ]
    return objects


def ecs(count):
    return [
        {
            "family": f"svc-{n}",
            "networkMode": "awsvpc",
            "cpu": "512",
            "memory": "1024",
            "containerDefinitions": [
                {
                    "name": "app",
                    "image": IMAGE,
                    "essential": True,
                    "user": "10001:10001",
                    "readonlyRootFilesystem": True,
                    "memory": 256,
                    "cpu": 512,
                    "portMappings": [{"containerPort": 8080}],
                    "environment": [{"name": k, "value": v} for k, v in variables(n).items()],
                    "healthCheck": {"command": ["CMD", "http-ok", "8080", "/health"], "interval": 10},
                    "mountPoints": [{"sourceVolume": "data", "containerPath": "/var/lib/app"}],
                }
            ],
            "volumes": [{"name": "data"}],
        }
        for n in range(count)
    ]


def inspect(count):
    """What `docker inspect` prints of such containers, less what changes from moment to moment."""
    containers = []
    for n in range(count):
        identity = f"{n:064x}"
        name = f"svc-{n}"
        env = [f"{k}={v}" for k, v in variables(n).items()]
        containers.append(
            {
                "Id": identity,
                "Name": f"/{name}",
                "State": {"Status": "running", "Running": True},
                "Image": "sha256:" + "1" * 64,
                "Config": {
                    "Hostname": identity[:12],
                    "User": "10001:10001",
                    "Env": env,
                    "Cmd": ["serve"],
                    "Image": IMAGE,
                    "Labels": {},
                    "ExposedPorts": {"8080/tcp": {}},
                    "Healthcheck": {"Test": ["CMD", "http-ok", "8080", "/health"], "Interval": 10_000_000_000},
                },
                "HostConfig": {
                    "NetworkMode": "back",
                    "ReadonlyRootfs": True,
                    "Memory": 256 << 20,
                    "NanoCpus": 500_000_000,
                    "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
                    "Binds": [f"data-{n}:/var/lib/app:rw"],
                },
                "Mounts": [
                    {
                        "Type": "volume",
                        "Name": f"data-{n}",
                        "Source": f"/var/lib/docker/volumes/data-{n}/_data",
                        "Destination": "/var/lib/app",
                        "Driver": "local",
                        "Mode": "rw",
                        "RW": True,
                        "Propagation": "",
                    }
                ],
                "NetworkSettings": {"Networks": {"back": {"Aliases": [name, identity[:12]]}}},
            }
        )
    return containers


FORMATS = {"compose": compose, "swarm": swarm, "kubernetes": kubernetes, "ecs": ecs, "inspect": inspect}
LINKED = "kubernetes, service links"
MAKERS = {**FORMATS, LINKED: functools.partial(kubernetes, links=True)}
FILES = {"compose": "compose.yaml", "swarm": "stack.yaml", "kubernetes": "all.yaml", LINKED: "all.yaml", "ecs": "tasks.json", "inspect": "containers.json"}


def block(value, indent=0):
    """The lines of a value in YAML's block style, as people and tools write it."""
    pad = " " * indent
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                yield f"{pad}{key}:"
                yield from block(inner, indent + 2)
            else:
                yield f"{pad}{key}: {json.dumps(inner)}"
    elif isinstance(value, list) and value:
        for inner in value:
            lines = list(block(inner, indent + 2))
            yield f"{pad}- {lines[0].lstrip()}"
            yield from lines[1:]
    else:
        yield f"{pad}{json.dumps(value)}"


def write(directory, form, count):
    """A project of so many services in that format."""
    made = MAKERS[form](count)
    documents = made if FILES[form] == "all.yaml" else [made]
    json_only = FILES[form].endswith(".json")
    text = "\n---\n".join(json.dumps(d, indent=1) if json_only else "\n".join(block(d)) for d in documents)
    (directory / FILES[form]).write_text(text + "\n")
    (directory / "mirror.yaml").write_text(f"project: many\nproduction: [{FILES[form]}]\n")
