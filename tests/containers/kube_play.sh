#!/usr/bin/env bash
# The serving Deployment of deploy/kubernetes really serves: under `podman kube play`, a champion of a small corpus.
#   tests/containers/kube_play.sh [aura.tar]       what `docker save aura` wrote; without it, the image `aura` that podman has
# Needs podman 4.3 or newer with catatonit (as root), kubectl and curl. Nothing is left behind.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" aura-kube-XXXXXX)
for tool in podman catatonit kubectl curl; do
    command -v "$tool" >/dev/null || { echo "there is no $tool; on Debian: apt-get install podman catatonit kubernetes-client curl" >&2; exit 1; }
done

# podman asks for more open files and processes than a container of a build machine may; half of what we have it gets.
cat >"$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=$(($(ulimit -Hn) / 2)):$(($(ulimit -Hn) / 2))", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
END
export CONTAINERS_CONF="$work/containers.conf"
if [ $# -eq 1 ]; then
    # A store of our own.
    printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$work/root" "$work/run" >"$work/storage.conf"
    export CONTAINERS_STORAGE_CONF="$work/storage.conf"
fi

volume=aura-kube-play-$$
manifest="$work/serve.yaml"
clean() {
    code=$?
    [ $code -eq 0 ] || podman logs --tail 40 serve-pod-0-serve || true
    podman kube down "$manifest" >/dev/null 2>&1 || true
    podman volume rm --force "$volume" >/dev/null 2>&1 || true
    [ $# -eq 0 ] || podman rmi --all --force >/dev/null 2>&1 || true
    umount "$work/root/overlay" 2>/dev/null || true
    rm -rf "$work"
    exit $code
}
trap 'clean "$@"' EXIT

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() { echo "kube_play: $*" >&2; exit 1; }

[ $# -eq 0 ] || { podman load --quiet --input "$1"; step "the image is loaded"; }
podman image exists aura || fail "podman has no image aura; give an archive, or: podman build --target aura --tag aura ."

# A small corpus, and a champion on it; as read-only as in the cluster.
aura() {
    podman run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
        --volume "$volume:/workspace" aura "$@" dataset.root=/workspace/data dataset.synthesis.subjects=6 \
        dataset.synthesis.hours_per_subject=0.5 dataset.synthesis.recording_minutes=15 dataset.synthesis.eeg_channels=2 \
        compute.workers=2 features=original windows.step_s=4 model.n_estimators=20 train.folds=2
}
aura synthesize
aura main >"$work/main.log" 2>&1 || { tail -n 20 "$work/main.log"; fail "training failed"; }
grep champion "$work/main.log" || fail "there is no champion"
step "the champion is trained"

kubectl kustomize "$here/deploy/kubernetes/overlays/podman" | sed -e "s/claimName: workspace/claimName: $volume/" \
    -e 's/aura-seizure-detector-ours/aura-seizure-detector-synthetic/' >"$manifest"
podman kube play "$manifest"
host=$(podman inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(podman pod inspect --format '{{.InfraContainerID}}' serve-pod-0)")
[ -n "$host" ] || fail "the pod has no address"
for _ in $(seq 120); do
    ! curl --silent --fail --max-time 5 "http://$host:5001/ping" >/dev/null || break
    sleep 1
done
curl --silent --fail --max-time 5 "http://$host:5001/ping" >/dev/null || fail "/ping is not answered"
step "/ping is answered"

# A minute and a half of beats.
rows=$(seq 1 90 | sed 's/.*/[&, 1000]/' | paste -sd,)
curl --silent --fail --max-time 60 "http://$host:5001/invocations" --header 'Content-Type: application/json' \
    --data "{\"dataframe_split\": {\"columns\": [\"t_s\", \"rr_ms\"], \"data\": [$rows]}}" >"$work/answer.json"
python3 - "$work/answer.json" <<'END' || fail "the answer is not what it should be"
import json, sys
rows = json.load(open(sys.argv[1]))["predictions"]
known = [row["probability"] for row in rows if row["probability"] is not None]
print(f"{len(rows)} windows, {len(known)} with a probability")
assert known and all(0 <= one <= 1 for one in known)
END
step "/invocations is answered"

curl --silent --fail --max-time 5 "http://$host:9101/metrics" >"$work/metrics"
grep '^aura_requests_total{outcome="answered",reason=""} 1.0' "$work/metrics" || fail "the request was not counted"
grep '^aura_model_info{.*model="aura-seizure-detector-synthetic"' "$work/metrics" || fail "the metrics do not say which model it is"
step "/metrics has the request"

inside() { podman exec serve-pod-0-serve "$@"; }
[ "$(inside id -u)" = 10001 ] || fail "it is not user 10001"
! inside touch /written 2>/dev/null || fail "it can write its own image"
[ "$(inside sed -n 's/^CapEff:\t//p' /proc/self/status)" = 0000000000000000 ] || fail "it has capabilities"
[ "$(inside sed -n 's/^NoNewPrivs:\t//p' /proc/self/status)" = 1 ] || fail "it may get privileges"
[ "$(inside sed -n 's/^Seccomp:\t//p' /proc/self/status)" = 2 ] || fail "no system call is refused"
step "it may do no more than it needs"

podman kube down "$manifest" 2>&1 | tee "$work/down.log"
! grep --quiet SIGKILL "$work/down.log" || fail "it did not hear that it was to stop"
step "it has stopped"
echo "kube_play: passed"
