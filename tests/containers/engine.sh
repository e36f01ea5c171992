#!/usr/bin/env bash
# A Docker engine of its own below FOLDER, with an image of Python to build on; says "ready", and works until it is ended.
#   unshare --mount tests/containers/engine.sh FOLDER       as root, with Debian's docker.io and debootstrap
# What it mounts is seen by nobody else.
set -euo pipefail

folder=$1
for tool in dockerd docker debootstrap; do
    command -v "$tool" >/dev/null || { echo "there is no $tool; on Debian: apt-get install docker.io debootstrap" >&2; exit 1; }
done
mkdir -p "$folder"
export DOCKER_HOST=unix://$folder/sock

# With both versions of control groups mounted, the engine takes the second, which has no controllers then.
umount --lazy /sys/fs/cgroup/unified 2>/dev/null || true
# The score: a container may not be let lower its own.
dockerd --oom-score-adjust 0 --data-root "$folder/root" --exec-root "$folder/exec" --pidfile "$folder/pid" \
    --host "$DOCKER_HOST" >"$folder/dockerd.log" 2>&1 &
engine=$!
trap 'kill "$engine"; wait "$engine"; exit' TERM INT
for _ in $(seq 60); do
    ! docker info >/dev/null 2>&1 || break
    kill -0 "$engine" 2>/dev/null || break
    sleep 1
done
docker info >/dev/null || { tail -n 20 "$folder/dockerd.log" >&2; exit 1; }

# The official image where its registry can be reached; else Debian's Python under its name.
if ! docker image inspect python:3.11-slim >/dev/null 2>&1 && ! docker pull --quiet python:3.11-slim >/dev/null 2>&1; then
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder/base" >"$folder/debootstrap.log"
    # This machine may reach the package index by a proxy whose certificate only it knows; no image of ours holds that.
    cp /etc/ssl/certs/ca-certificates.crt "$folder/base/etc/ssl/certs/"
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$folder/base/etc/pip.conf"
    tar --create --directory "$folder/base" . | docker import \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'CMD ["python3"]' - python:3.11-slim >/dev/null
    rm -rf "$folder/base"
fi
echo ready
wait "$engine"
