# What pipelines run: each of their steps is one target here, so that it can be run by hand. Included by the Makefile.
# docs/delivery.md tells what each needs (pulumi, gcloud, docker, grype, syft, cosign, gh) and which variables.

DEPLOYMENT = $(BIN)/python -m deployment
AS_ACCOUNT = $(if $(ACCOUNT),--account "$(ACCOUNT)")
ENGINE_IMAGE = $(or $(QDRANT_IMAGE),$(shell sed -n 's/^ARG QDRANT_IMAGE=//p' Dockerfile.qdrant))
# In a pipeline a step's results go into the file that GITHUB_OUTPUT names; by hand they are only printed.
OUTPUT = tee -a "$${GITHUB_OUTPUT:-/dev/null}"
GRYPE ?= grype
SYFT ?= syft
# What was pushed last; a step of another container finds it there.
REFERENCE ?= $(shell sed -n 's/^reference=//p' build/pushed 2>/dev/null)
# A tag's name is somebody's text: recipes read it from the environment, where no shell takes it for a command.
export TAG VERSION
NEEDS = command -v $(1) >/dev/null || { echo "$(1) is not on PATH. $(2)"; exit 2; }

.PHONY: qdrant-binary
qdrant-binary: ## Qdrant itself out of its official image, as build/qdrant (QDRANT_IMAGE=…)
	@mkdir -p build
	@container=$$(docker create "$(ENGINE_IMAGE)") && trap 'docker rm "$$container" >/dev/null' EXIT \
	  && docker cp --quiet "$$container:/qdrant/qdrant" build/qdrant
	@build/qdrant --version || { echo "It needs libunwind: installing it (apt-get install libunwind8)…"; \
	  sudo=$$( [ "$$(id -u)" = 0 ] || echo sudo ); \
	  $$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends libunwind8 >/dev/null; \
	  build/qdrant --version; }

.PHONY: test-real
test-real: setup policy qdrant-binary ## all tests on the real Qdrant and the real pulumi, neither skipped
	@QDRANT_BIN="$(CURDIR)/build/qdrant" PULUMI_REQUIRED=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

.PHONY: restore-drill
restore-drill: qdrant-binary ## the nightly drill on the real Qdrant: one that passes, and one that finds a spoilt byte
	@QDRANT_BIN="$(CURDIR)/build/qdrant" $(MAKE) --no-print-directory drill

.PHONY: pulumi-version
pulumi-version: ## the version of the pulumi CLI that fits the locked SDK
	@sed -n 's/^pulumi==\([0-9.]*\).*/version=\1/p' requirements/infra.txt | $(OUTPUT)

.PHONY: registry-login
registry-login: ## let docker push to REGISTRY: by gcloud where it is Google's, else REGISTRY_USER and REGISTRY_TOKEN
	@host="$(REGISTRY)"; host="$${host%%/*}"; test -n "$$host" || { echo "REGISTRY=… is missing"; exit 2; }; \
	case "$$host" in \
	  *.pkg.dev) gcloud auth print-access-token | docker login --username oauth2accesstoken --password-stdin "$$host";; \
	  *) printenv REGISTRY_TOKEN | docker login --username "$$REGISTRY_USER" --password-stdin "$$host";; \
	esac

# Its line says make and not $(MAKE), which runs even where a dry run was asked for.
# A tag that is there already is a commit that was built before: the same bytes go on, they are not built again.
.PHONY: push
push: setup ## build and push REGISTRY/qdrant:TAG unless it is there; print it by digest
	@test -n "$(REGISTRY)" -a -n "$(TAG)" || { echo "REGISTRY=… and TAG=… are needed"; exit 2; }
	@mkdir -p build
	@tagged="$$(echo "$(REGISTRY)/qdrant" | tr '[:upper:]' '[:lower:]')"; \
	if docker buildx imagetools inspect "$$tagged:$(TAG)" >/dev/null 2>&1; then docker pull --quiet "$$tagged:$(TAG)" >&2; \
	else make --no-print-directory image IMAGE="$$tagged:$(TAG)" REVISION="$(TAG)" >&2 \
	  && docker push --quiet "$$tagged:$(TAG)" >&2; fi && \
	digest=$$(docker buildx imagetools inspect "$$tagged:$(TAG)" --format '{{.Manifest.Digest}}') && \
	{ test -n "$$digest" || { echo "The registry tells no digest of $$tagged:$(TAG)"; false; }; } && \
	printf 'name=%s\ndigest=%s\nreference=%s\n' "$$tagged" "$$digest" "$$tagged@$$digest" | tee build/pushed | $(OUTPUT)

.PHONY: scan
scan: ## look for known vulnerabilities in IMAGE; fails on a high one that has a fix
	@$(call NEEDS,$(GRYPE),https://github.com/anchore/grype)
	@$(GRYPE) "$(IMAGE)" --only-fixed --fail-on high

.PHONY: sbom
sbom: ## what is in IMAGE, as SPDX in build/sbom.spdx.json
	@$(call NEEDS,$(SYFT),https://github.com/anchore/syft)
	@mkdir -p build
	@$(SYFT) scan "$(IMAGE)" --output spdx-json=build/sbom.spdx.json

.PHONY: sign
sign: ## sign REFERENCE, an image by digest, with the identity of whoever runs this; no key
	@$(call NEEDS,cosign,https://docs.sigstore.dev)
	@case "$(REFERENCE)" in *@sha256:*) ;; *) echo "REFERENCE has to be by digest, a tag can move: $(REFERENCE)"; exit 2;; esac
	@cosign sign --yes "$(REFERENCE)"

.PHONY: preview
preview: setup ## what deploying STACK would change; also as build/preview/STACK.md
	@$(DEPLOYMENT) preview --stack "$(STACK)" --image "$(REFERENCE)" --report "build/preview/$(STACK).md"

.PHONY: preview-comment
preview-comment: $(VENV)/.base ## put build/preview/*.md on pull request PULL_REQUEST, over the earlier ones
	@$(DEPLOYMENT) comment --api "$${GITHUB_API_URL:-https://api.github.com}" --repository "$$GITHUB_REPOSITORY" \
	  --number "$(PULL_REQUEST)" build/preview/*.md

.PHONY: drift
drift: setup ## what in the cloud is no longer as STACK was deployed
	@$(DEPLOYMENT) drift --stack "$(STACK)"

.PHONY: deliver
deliver: setup ## deploy REFERENCE (an image by digest) to STACK, verify, and go back to the revision before if that fails
	@$(DEPLOYMENT) deliver --stack "$(STACK)" --image "$(REFERENCE)" $(AS_ACCOUNT)

.PHONY: rollback
rollback: setup ## send STACK's requests to REVISION
	@$(DEPLOYMENT) rollback --stack "$(STACK)" --revision "$(REVISION)" $(AS_ACCOUNT)

.PHONY: licences
licences: setup ## the licence of every locked package, each one allowed
	@$(BIN)/python -m release licences

.PHONY: secrets
secrets: $(VENV)/.base ## no key or token among the files of the repository
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

.PHONY: release-check
release-check: $(VENV)/.base ## TAG is the version in pyproject.toml and has its section in the changelog
	@$(BIN)/python -m release check -- "$$TAG"

.PHONY: release-notes
release-notes: $(VENV)/.base ## the changelog's section of VERSION
	@$(BIN)/python -m release notes -- "$$VERSION"

.PHONY: publish-release
publish-release: $(VENV)/.base ## make GitHub's release of TAG, with its notes and the SBOM
	@$(call NEEDS,gh,https://cli.github.com)
	@mkdir -p build
	@$(BIN)/python -m release notes -- "$$TAG" > build/notes.md
	@gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file build/notes.md build/sbom.spdx.json

# The first run keeps its state in this folder, because the bucket for it is what it makes; it has no secret in it.
IN_BOOTSTRAP = cd bootstrap && export PULUMI_CONFIG_PASSPHRASE="$${PULUMI_CONFIG_PASSPHRASE-}" && export PULUMI_BACKEND_URL
LOCAL_STATE = file://$(CURDIR)/bootstrap/state
IS_MOVED = test -e bootstrap/Pulumi.delivery.yaml -a ! -d bootstrap/state

.PHONY: bootstrap
bootstrap: setup ## make what delivery stands on (PROJECT, REGION, GITHUB_OWNER_ID, GITHUB_REPOSITORY_ID; YES=1 asks nothing)
	@if [ -z "$$PULUMI_BACKEND_URL" ] && $(IS_MOVED); then \
	  echo "The state of this stack was moved into its bucket: set PULUMI_BACKEND_URL=gs://… and run this again."; exit 2; fi
	@mkdir -p bootstrap/state
	@$(IN_BOOTSTRAP)="$${PULUMI_BACKEND_URL:-$(LOCAL_STATE)}" && pulumi stack select --create delivery && pulumi config set-all --stack delivery \
	  --plaintext project="$(PROJECT)" --plaintext region="$(REGION)" \
	  --plaintext githubOwnerId="$(GITHUB_OWNER_ID)" --plaintext githubRepositoryId="$(GITHUB_REPOSITORY_ID)" && \
	  pulumi up --stack delivery $(if $(YES),--yes --skip-preview)

# Each step can be run again; the local state goes only when the moved one was compared with the cloud.
.PHONY: bootstrap-move
bootstrap-move: ## move that state into the bucket it made, and print the variables for GitHub
	@if $(IS_MOVED); then echo "It was moved already."; exit 2; fi
	@$(IN_BOOTSTRAP)="$(LOCAL_STATE)" && \
	  url=$$(pulumi stack output stateUrl --stack delivery) && \
	  provider="$(SECRETS_PROVIDER)" && : "$${provider:=$$(pulumi stack output secretsProvider --stack delivery)}" && \
	  pulumi stack export --stack delivery --file state/moving.json && \
	  PULUMI_BACKEND_URL="$$url" && \
	  { pulumi stack select delivery 2>/dev/null || pulumi stack init delivery --secrets-provider "$$provider"; } && \
	  pulumi stack import --stack delivery --file state/moving.json && \
	  pulumi preview --stack delivery --expect-no-changes && rm -r state && \
	  echo "The state is in $$url now. For GitHub:" && pulumi stack output commands --stack delivery
