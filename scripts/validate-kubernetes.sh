#!/usr/bin/env bash
# Validates deploy/kubernetes against the schemas of Kubernetes, strictly: unknown fields are mistakes. No cluster is needed.
# The schemas come with the package kubernetes-validate, which is installed into a directory of its own, once.
#   scripts/validate-kubernetes.sh [KUBERNETES-VERSION]
# It ends with 1 when something is wrong with a manifest, and with 3 when the package cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${TESTFLEET_TOOLS:-${CARGO_TARGET_DIR:-target}/tools}/kubernetes-validate
if [ ! -x "$tools/bin/kubernetes-validate" ]; then
  install() { python3 -m venv "$tools" && "$tools/bin/pip" install --quiet 'kubernetes-validate>=1.30' PyYAML; }
  if ! said=$(install 2>&1); then
    rm -rf "$tools"
    echo "the manifests were not validated: kubernetes-validate could not be installed: ${said##*$'\n'}" >&2
    exit 3
  fi
fi
"$tools/bin/kubernetes-validate" --strict ${1:+--kubernetes-version "$1"} deploy/kubernetes/*.yaml

# What schemas cannot see: names that must be those of something else.
"$tools/bin/python" - <<'END'
import pathlib, subprocess, sys, tempfile, tomllib, yaml

documents = [document for path in sorted(pathlib.Path("deploy/kubernetes").glob("*.yaml"))
             for document in yaml.safe_load_all(path.read_text()) if document]
of_kind = lambda kind: {document["metadata"].get("name"): document for document in documents if document["kind"] == kind}
defaults = tomllib.loads(pathlib.Path("config/default.toml").read_text())
wrong = []
for section, values in tomllib.loads(of_kind("ConfigMap")["testfleet-worker"]["data"]["worker.toml"]).items():
    wrong += [f"worker.toml: there is no setting {section}.{key}" for key in values if key not in defaults.get(section, {})]
secret = of_kind("Secret")["testfleet"]["stringData"]
container = of_kind("Deployment")["testfleet-worker"]["spec"]["template"]["spec"]["containers"][0]
for variable in container["env"]:
    value = variable.get("value", "")
    if value.startswith("/etc/testfleet/secrets/") and value.rsplit("/", 1)[1] not in secret:
        wrong.append(f"{variable['name']}: the secret has no key {value.rsplit('/', 1)[1]}")
# docs/containers.md makes the Secret from these files.
with tempfile.TemporaryDirectory() as directory:
    subprocess.run(["scripts/make-secrets.sh", directory], check=True, stdout=subprocess.DEVNULL)
    made = {path.name for path in pathlib.Path(directory).iterdir()}
if made != set(secret):
    wrong.append(f"scripts/make-secrets.sh makes {sorted(made)}, secret.example.yaml has {sorted(secret)}")
labels = [document["spec"]["template"]["metadata"]["labels"] for document in documents
          if document["kind"] in ("Deployment", "StatefulSet")]
for document in documents:
    selector = document["spec"].get("podSelector") or document["spec"].get("selector") if "spec" in document else None
    wanted = (selector or {}).get("matchLabels", selector if document["kind"] == "Service" else None)
    if wanted and not any(wanted.items() <= found.items() for found in labels):
        wrong.append(f"{document['kind']} {document['metadata'].get('name')} selects nothing")
grace = of_kind("Deployment")["testfleet-worker"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
if grace <= int(defaults["worker"]["stop_grace"].removesuffix("s")):
    wrong.append("the grace period of the workers is not longer than worker.stop_grace")
print("\n".join(wrong) or "names, labels and settings agree")
sys.exit(bool(wrong))
END
