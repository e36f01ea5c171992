"""The manifests of deploy/kubernetes fit together, and what they ask Aura for it knows. No cluster runs here."""

import copy
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml

from aura import cli as command_line
from aura.config.schema import Config
from aura.config.stage import Stage
from aura.core.paths import PROJECT

pytestmark = pytest.mark.integration

# The oldest whose Jobs may have a podFailurePolicy without being told to, and the newest that there is a schema of.
VERSIONS = ("1.31", kubernetes_validate.latest_version())
KUBERNETES = PROJECT / "deploy/kubernetes"
STAGES = ["prepare-shares", "prepare", "featurize-shares", "featurize", "train"]
SHARED = ("prepare-shares", "featurize-shares")

Manifest = dict[str, Any]


def read(path: Path) -> list[Manifest]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


def written() -> list[tuple[Path, Manifest]]:
    """Manifests as they stand in the files, of Kubernetes only."""
    paths = sorted(KUBERNETES.rglob("*.yaml"))
    found = [(path, one) for path in paths for one in read(path)]
    return [(path, one) for path, one in found if "kustomize" not in one["apiVersion"]]


Render = Callable[[str], list[Manifest]]


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Render:
    """What kustomize makes of the base or an overlay, whose passwords are given here."""
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl to render the manifests with; on Debian: apt-get install kubernetes-client")
    folder = tmp_path_factory.mktemp("kustomize") / "kubernetes"
    shutil.copytree(KUBERNETES, folder, ignore=shutil.ignore_patterns(".env"))
    for example in folder.rglob(".env.example"):
        example.with_name(".env").write_text(re.sub(r"=$", "=x", example.read_text(), flags=re.MULTILINE))

    @cache
    def made(name: str) -> list[Manifest]:
        path = folder / ("base" if name == "base" else f"overlays/{name}")
        done = subprocess.run(["kubectl", "kustomize", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return made


@pytest.fixture(scope="module", params=["base", "example", "podman"])
def rendered(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(request.param)


@pytest.fixture(scope="module", params=["base", "example"])
def whole(request: pytest.FixtureRequest, render: Render) -> list[Manifest]:
    return render(request.param)


def check(manifest: Manifest) -> None:
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{manifest['kind']} {manifest['metadata']['name']}, {version}: {error.message}")


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Specification of the pods of each manifest that has any."""
    for one in manifests:
        spec = one.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield one["metadata"]["name"], template


def containers(pod: Manifest) -> Iterator[Manifest]:
    for kind in ("initContainers", "containers"):
        yield from pod["spec"].get(kind, [])


def words(container: Manifest, manifests: list[Manifest], index: int = 0) -> list[str]:
    """What Kubernetes gives a container as its arguments."""
    values = {"JOB_COMPLETION_INDEX": str(index)}
    for source in container.get("envFrom", []):
        values |= named(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        values[variable["name"]] = variable.get("value", "secret")
    return [re.sub(r"\$\((\w+)\)", lambda found: values[found[1]], word) for word in container["args"]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Config]]:
    """What the command line would have stages do, which do nothing."""
    seen: list[tuple[str, Config]] = []

    monkeypatch.setattr(Stage, "run", lambda stage, config: seen.append((stage.name, config)))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr("sys.argv", ["aura"])
    return seen


def test_each_file_is_a_valid_manifest() -> None:
    """Also where there is no kubectl; a patch is a part of a manifest, and as strictly one."""
    found = written()
    assert {one["kind"] for _, one in found} >= {"Job", "CronJob", "Deployment", "StatefulSet", "NetworkPolicy"}
    for path, one in found:
        part = copy.deepcopy(one)
        if path.parent.name == "podman":
            # Only of a patch.
            part["spec"] |= {"selector": {}}
        check(part)


def test_each_overlay_renders_valid_manifests(rendered: list[Manifest]) -> None:
    for one in rendered:
        check(one)


def test_validation_finds_planted_faults() -> None:
    wrong = named(read(KUBERNETES / "base/jobs.yaml"), "Job", "train")
    wrong["spec"]["completion"] = 4
    with pytest.raises(pytest.fail.Exception, match="'completion' was unexpected"):
        check(wrong)


def check_pod(name: str, template: Manifest) -> None:
    """What the pod security standard `restricted` asks for, and more."""
    spec = template["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True, name
    assert spec["securityContext"]["runAsUser"] > 0, name
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    assert spec["automountServiceAccountToken"] is False, name
    # A Service called mlflow would set MLFLOW_PORT.
    assert spec["enableServiceLinks"] is False, name
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), name
    allowed = {"name", "emptyDir", "configMap", "persistentVolumeClaim"}
    assert all(set(volume) <= allowed for volume in spec["volumes"]), name
    for container in containers(template):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert not {"privileged", "runAsUser"} & context.keys(), name
        mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
        assert mounts["tmp"]["mountPath"] == "/tmp", name
        assert mounts.get("recordings", {"readOnly": True})["readOnly"] is True, name
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert mounts.keys() <= volumes.keys() | {"data"}, name
        assert volumes["tmp"]["emptyDir"] == {}, name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name
        # Throttled it would only be slower.
        assert "cpu" not in container["resources"]["limits"], name


def test_no_pod_has_more_rights_than_it_needs(rendered: list[Manifest]) -> None:
    found = dict(pods(rendered))
    for name, template in found.items():
        check_pod(name, template)
    assert found.keys() in ({"serve"}, {*STAGES, "serve", "mlflow", "postgres", "sweep"})


def test_the_namespace_admits_only_restricted_pods(whole: list[Manifest]) -> None:
    namespace = named(whole, "Namespace", "aura")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    outside = [one for one in whole if one["kind"] not in ("Namespace", "PersistentVolume")]
    assert {one["metadata"].get("namespace") for one in outside} == {"aura"}


def test_each_job_passes_overrides_that_its_stage_accepts(render: Render, asked: list[tuple[str, Config]]) -> None:
    """All see the same recordings, in the same workspace, and those with shares have them all."""
    manifests, seen = render("example"), {}
    for name, template in pods([one for one in manifests if one["kind"] in ("Job", "CronJob")]):
        for container in containers(template):
            assert command_line.main(words(container, manifests)) == 0
            (stage, config) = asked.pop()
            seen[name, stage] = config
            # As many processes as it asks for processors, whatever the node has.
            cpus = int(container["resources"]["requests"]["cpu"])
            serial = config.compute["_target_"] == "aura.execution.executors.Serial"
            assert serial or config.compute["workers"] <= cpus, name
    assert seen.keys() == {(name, name.partition("-")[0]) for name in STAGES} | {
        ("sweep", "prepare"),
        ("sweep", "sweep"),
    }
    assert {(one.dataset.root, one.dataset.name, one.workspace) for one in seen.values()} == {
        ("/data", "tusz", seen["train", "train"].workspace)
    }
    assert {name for (name, _), one in seen.items() if one.partition is not None} == set(SHARED)


def test_each_pod_of_a_shared_stage_gets_its_share(whole: list[Manifest]) -> None:
    for name in SHARED:
        job = named(whole, "Job", name)["spec"]
        assert job["completionMode"] == "Indexed"
        assert 1 < job["parallelism"] <= job["completions"]
        (container,) = containers(job["template"])
        asked = [words(container, whole, index)[1] for index in range(job["completions"])]
        assert asked == [f"partition={index}/{len(asked)}" for index in range(len(asked))]


def test_a_job_starts_suspended_and_a_wrong_setting_is_not_retried(whole: list[Manifest]) -> None:
    jobs = [one for one in whole if one["kind"] == "Job"]
    assert sorted(one["metadata"]["name"] for one in jobs) == sorted(STAGES)
    for one in jobs:
        assert one["spec"]["suspend"] is True
        assert one["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        codes = [rule["onExitCodes"] for rule in one["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
        (container,) = containers(one["spec"]["template"])
        assert codes == [{"containerName": container["name"], "operator": "In", "values": [2]}]


def test_a_stage_keeps_a_host_name_of_its_own() -> None:
    """By it the next pod finds the lock files of runs that were killed. Kubernetes names pods of indexed Jobs so."""
    jobs = [*read(KUBERNETES / "base/jobs.yaml"), *read(KUBERNETES / "base/sweep.yaml")]
    indexed = {one["metadata"]["name"] for one in jobs if one["spec"].get("completionMode") == "Indexed"}
    assert indexed == set(SHARED)
    found = {name: template["spec"].get("hostname") for name, template in pods(jobs)}
    assert found == {name: None if name in indexed else name for name in [*STAGES, "sweep"]}


def test_nightly_sweeps_do_not_overlap(whole: list[Manifest]) -> None:
    sweep = named(whole, "CronJob", "sweep")["spec"]
    assert sweep["concurrencyPolicy"] == "Forbid"
    assert sweep["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_each_service_has_health_probes(whole: list[Manifest]) -> None:
    templates = dict(pods(whole))
    for name, path, port in (("serve", "/ping", 5001), ("mlflow", "/health", 5000)):
        (container,) = containers(templates[name])
        ports = {one["name"]: one["containerPort"] for one in container["ports"]}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        assert ports["http"] == port
        # A served model is loaded in half a minute, and MLflow makes its tables at the first start.
        assert container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"] >= 120
        service = named(whole, "Service", name)["spec"]
        assert service["selector"].items() <= templates[name]["metadata"]["labels"].items()
        assert [(one["port"], one["targetPort"]) for one in service["ports"]] == [(port, "http")]
        # Python as the first process would not hear that it is to stop.
        assert templates[name]["spec"]["shareProcessNamespace"] is True
    (container,) = containers(templates["serve"])
    metrics = {one["name"]: one["value"] for one in container["env"]}["AURA_METRICS_PORT"]
    # Another address than that of this machine, so that Prometheus reaches it.
    host, _, metrics = metrics.rpartition(":")
    assert host == "0.0.0.0"
    annotations = templates["serve"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    assert annotations["prometheus.io/port"] == metrics
    assert int(metrics) in [one["containerPort"] for one in container["ports"]]


def test_serving_scales_and_keeps_a_pod_during_disruptions(whole: list[Manifest]) -> None:
    scaler = named(whole, "HorizontalPodAutoscaler", "serve")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "serve"}
    deployment = named(whole, "Deployment", "serve")["spec"]
    # Else each apply would take back what the autoscaler said.
    assert "replicas" not in deployment
    budget = named(whole, "PodDisruptionBudget", "serve")["spec"]
    assert budget["selector"] == deployment["selector"]
    assert 1 <= budget["maxUnavailable"] < scaler["minReplicas"] < scaler["maxReplicas"]


def test_pods_reach_the_addresses_they_need_and_no_others(whole: list[Manifest]) -> None:
    """Every address of another pod that anybody is given can be reached, and nobody else."""
    policies = {one["metadata"]["name"]: one["spec"] for one in whole if one["kind"] == "NetworkPolicy"}
    assert policies["nobody"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    component = "app.kubernetes.io/component"
    components = {template["metadata"]["labels"][component] for _, template in pods(whole)}
    pairs = set()
    for name in components & policies.keys():
        policy = policies[name]
        assert policy["podSelector"] == {"matchLabels": {component: name}}
        for side, at in (("ingress", "from"), ("egress", "to")):
            for rule in policy.get(side, []):
                for port in rule["ports"]:
                    for peer in rule[at]:
                        selector = peer.get("podSelector", {})
                        others = [selector["matchLabels"][component]] if "matchLabels" in selector else []
                        for expression in selector.get("matchExpressions", []):
                            others += expression["values"]
                        pairs |= {(side, *((name, o) if side == "egress" else (o, name)), port["port"]) for o in others}
    allowed = {("stage", "mlflow", 5000), ("serve", "mlflow", 5000), ("stage", "postgres", 5432)}
    allowed |= {("mlflow", "postgres", 5432)}
    assert pairs == {(side, *one) for side in ("ingress", "egress") for one in allowed}
    assert components == {"stage", "serve", "mlflow", "postgres"}


def test_the_images_are_those_of_the_dockerfile(render: Render) -> None:
    base, example = render("base"), render("example")
    images = [
        {one["image"] for _, template in pods(which) for one in containers(template)} for which in (base, example)
    ]
    assert images[0] == {"aura", "aura-mlflow", "postgres:16"}
    assert images[1] == {
        "registry.example.org/aura:0.1.0",
        "registry.example.org/aura-mlflow:0.1.0",
        "postgres:16",
    }
    targets = re.findall(r"^FROM \S+ AS (\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert {"aura", "mlflow"} <= set(targets)


def test_there_is_no_secret_in_the_project(render: Render) -> None:
    listed = subprocess.run(
        ["git", "-C", str(PROJECT), "ls-files", "--cached", "--others", "--exclude-standard", "deploy", ".env.example"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not [path for path in listed if Path(path).name == ".env"]
    ignored = ["git", "-C", str(PROJECT), "check-ignore", "--quiet", "deploy/kubernetes/overlays/ours/.env"]
    assert subprocess.run(ignored, check=False).returncode == 0
    assert not [path for path, one in written() if one["kind"] == "Secret"]
    example = (KUBERNETES / "overlays/example/.env.example").read_text()
    keys = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert set(keys.values()) == {""}
    manifests = render("example")
    (secret,) = [one for one in manifests if one["kind"] == "Secret"]
    wanted = {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for _, template in pods(manifests)
        for container in containers(template)
        for variable in container.get("env", [])
        if "valueFrom" in variable
    }
    assert wanted == {(secret["metadata"]["name"], key) for key in keys}
    # A password is nowhere but in the secret.
    for one in manifests:
        assert one is secret or not re.search(r"://\w+:[^@/]+@", yaml.safe_dump(one))


# Writes down what it is asked; `wait` for a condition succeeds as the Job named in FAILED does not.
KUBECTL = """#!/bin/sh
echo "$*" >>"$CALLED"
case "$*" in
*condition=complete*"job/$FAILED "*) exit 1 ;;
*condition=failed*"job/$FAILED "*) exit 0 ;;
*condition=failed*) exit 1 ;;
esac
"""


def run_stages(tmp_path: Path, failed: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    called = tmp_path / "called"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLED": str(called), "FAILED": failed}
    command = [str(KUBERNETES / "run.sh"), "overlay"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    return done, called.read_text().splitlines()


def test_stages_run_one_after_the_other(tmp_path: Path) -> None:
    done, called = run_stages(tmp_path, "none")
    assert done.returncode == 0, done.stderr
    assert all(call.startswith("--namespace aura ") for call in called)
    turns = [call.split()[2:5] for call in called if " patch " in call or " wait " in call]
    assert turns == [
        turn
        for stage in STAGES
        for turn in (["patch", "job", stage], ["wait", "--for=condition=complete", f"job/{stage}"])
    ]
    applied = called.index("--namespace aura apply --kustomize overlay")
    # Else the apply would be refused, as a Job cannot be changed.
    assert [call.split()[3:5] for call in called[:applied]] == [["job", stage] for stage in STAGES]


def test_no_stage_runs_after_one_that_failed(tmp_path: Path) -> None:
    done, called = run_stages(tmp_path, "featurize-shares")
    assert done.returncode == 1
    assert "featurize-shares failed" in done.stderr
    assert not [call for call in called if "patch job featurize " in call or "patch job train " in call]
    assert not [call for call in called if "restart" in call]


def test_the_project_of_mlflow_has_the_same_entry_points() -> None:
    """With one more -- before all that MLflow fills in, and without the short words, which come as options."""
    there, here = (yaml.safe_load((folder / "MLproject").read_text()) for folder in (PROJECT, KUBERNETES / "mlflow"))
    # The others need a terminal, or the password of a database.
    assert here["entry_points"].keys() == {
        *("main", "synthesize", "prepare", "featurize", "train", "evaluate", "sweep", "detect")
    }
    for name, entry in here["entry_points"].items():
        assert entry["parameters"].items() <= there["entry_points"][name]["parameters"].items()
        own = "".join(f" {word}={{{word}}}" for word in entry["parameters"] if word not in ("experiment", "overrides"))
        words = f"{own} -- experiments={{experiment}} {{overrides}}"
        assert entry["command"] == f"python -m aura {name} --{words}"


@pytest.fixture
def submit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manifest]:
    """Have MLflow submit a project to a cluster and a registry that there are not; gives the Job."""
    kubernetes = pytest.importorskip("kubernetes", reason="pip install kubernetes, which MLflow's own backend needs")
    import mlflow.projects.docker
    import mlflow.projects.kubernetes as backend

    jobs: list[Manifest] = []
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("KUBE_MLFLOW_TRACKING_URI", "http://mlflow:5000")
    monkeypatch.setattr(mlflow.projects.docker, "validate_docker_installation", lambda: None)
    image = SimpleNamespace(tags=["registry.example.org/aura-project:abc"])
    monkeypatch.setattr(mlflow.projects.docker, "build_docker_image", lambda **_: image)
    monkeypatch.setattr(backend, "push_image_to_registry", lambda _: "sha256:" + "0" * 64)
    monkeypatch.setattr(backend, "_load_kube_context", lambda context: None)

    class Cluster:
        def create_namespaced_job(self, namespace: str, body: Manifest, pretty: bool) -> None:
            assert namespace == body["metadata"]["namespace"]
            jobs.append(body)

    monkeypatch.setattr(kubernetes.client, "BatchV1Api", Cluster)
    folder = KUBERNETES / "mlflow"

    def submitted(entry: str, **parameters: str) -> Manifest:
        run = mlflow.projects.run(
            str(folder),
            entry,
            backend="kubernetes",
            backend_config=str(folder / "backend.json"),
            parameters=parameters,
            build_image=True,
            synchronous=False,
        )
        mlflow.MlflowClient().set_terminated(run.run_id)
        job = jobs.pop()
        values = {one["name"]: one["value"] for one in job["spec"]["template"]["spec"]["containers"][0]["env"]}
        assert values["MLFLOW_RUN_ID"] == run.run_id
        assert values["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
        return job

    return submitted


def test_mlflow_submits_a_valid_job(submit: Callable[..., Manifest], whole: list[Manifest]) -> None:
    job = submit("train", overrides="dataset=any")
    check(job)
    ((_, template),) = pods([job])
    check_pod("mlflow", template)
    (container,) = containers(template)
    assert container["image"] == "registry.example.org/aura-project:abc@sha256:" + "0" * 64
    # It reads and writes what the other Jobs do, as the one that may.
    ((_, like),) = pods([named(whole, "Job", "train")])
    for key in ("securityContext", "volumes", "restartPolicy", "terminationGracePeriodSeconds"):
        assert template["spec"][key] == like["spec"][key]
    (other,) = containers(like)
    for key in ("securityContext", "volumeMounts", "resources"):
        assert container[key] == other[key]
    assert template["metadata"]["labels"] == like["metadata"]["labels"]


@pytest.mark.parametrize(
    ("entry", "parameters", "expected"),
    [
        ("main", {}, []),
        (
            "train",
            {"experiment": "window_length", "overrides": "dataset=any 'dataset.root=/data/our recordings' seed=7"},
            ["experiments=window_length", "dataset=any", "dataset.root='/data/our recordings'", "seed=7"],
        ),
        ("detect", {"edf": "/data/it's one.edf", "overrides": "windows.step_s=2"}, ["windows.step_s=2"]),
    ],
)
def test_a_job_of_mlflow_passes_overrides_that_its_stage_accepts(
    submit: Callable[..., Manifest],
    asked: list[tuple[str, Config]],
    entry: str,
    parameters: dict[str, str],
    expected: list[str],
) -> None:
    """No shell takes off the quotes that this backend of MLflow puts around each word."""
    ((_, template),) = pods([submit(entry, **parameters)])
    (container,) = containers(template)
    python, *command = container["command"]
    assert (python, command[:2]) == ("python", ["-m", "aura"])
    assert command_line.main(command[2:]) == 0
    ((stage, config),) = asked
    assert stage == entry
    assert [word for word in config.overrides if word in expected] == expected
    if entry == "detect":
        assert config.detect.edf == parameters["edf"]
        assert config.detect.model is None
