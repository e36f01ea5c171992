#!/bin/sh
# Apply an overlay, then run the stages one after the other: deploy/kubernetes/run.sh FOLDER
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER, an overlay such as deploy/kubernetes/overlays/example" >&2; exit 2; }
stages="prepare-shares prepare featurize-shares featurize train"
kubectl() { command kubectl --namespace aura "$@"; }

# A Job that has ended can neither be changed nor run again, so delete it first.
for stage in $stages; do
    kubectl delete job "$stage" --ignore-not-found
done
kubectl apply --kustomize "$1"
kubectl rollout status statefulset/postgres --timeout=10m
kubectl rollout status deployment/mlflow --timeout=10m
for stage in $stages; do
    echo "$stage"
    kubectl patch job "$stage" --patch '{"spec": {"suspend": false}}'
    until kubectl wait --for=condition=complete "job/$stage" --timeout=60s; do
        if kubectl wait --for=condition=failed "job/$stage" --timeout=0 2>/dev/null; then
            kubectl logs --selector "job-name=$stage" --tail=20 --prefix >&2
            echo "$stage failed; finished recordings are kept, and $0 $1 continues from there" >&2
            exit 1
        fi
    done
done
# Load the champion, which may be new.
kubectl rollout restart deployment/serve
