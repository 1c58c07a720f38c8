# One image with the three programs, on nothing but the libraries they are linked to.
#
#   docker build -t testfleet .
#   docker run --rm --entrypoint testfleet testfleet --version
#
# The stages: `manifests` keeps what dependencies follow from, so that editing a source file does not compile them
# again; `build` compiles; `root` gathers the files of the image; the last one is the image.

FROM rust:1.95-bookworm AS manifests
WORKDIR /source
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY tests tests
# Programs and libraries become empty ones; the rest goes, and with it what the manifests say about tests.
RUN find crates tests -type f ! -name Cargo.toml ! -path '*/src/main.rs' ! -path '*/src/lib.rs' -delete \
 && find crates tests -type f -name lib.rs -exec truncate -s 0 {} + \
 && echo 'fn main() {}' > /tmp/main.rs \
 && find crates tests -type f -name main.rs -exec cp /tmp/main.rs {} \; \
 && find crates tests -name Cargo.toml -exec sed -i '/^\[\[\(test\|example\|bench\)\]\]/,/^$/d' {} + \
 && find crates tests -type d -empty -delete

FROM rust:1.95-bookworm AS build
WORKDIR /source
# Workers wait for endpoints, so the image is optimised for size and for the time it takes to build. Programs that take
# minutes longer to build, are a third larger and quicker with long texts: --build-arg OPT_LEVEL=3 --build-arg LTO=thin
ARG OPT_LEVEL=s
ARG LTO=off
ARG CODEGEN_UNITS=1
# Equal functions once, and relocations packed: a tenth smaller. The first needs lld, which Rust brings along on x86-64; elsewhere
# --build-arg LINKING="-C link-arg=-Wl,-z,pack-relative-relocs"
ARG LINKING="-C link-arg=-Wl,--icf=all -C link-arg=-Wl,-z,pack-relative-relocs"
ENV RUSTFLAGS="$LINKING" \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=$OPT_LEVEL \
    CARGO_PROFILE_RELEASE_LTO=$LTO \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=$CODEGEN_UNITS \
    CARGO_PROFILE_RELEASE_DEBUG=none \
    CARGO_PROFILE_RELEASE_STRIP=symbols \
    CARGO_INCREMENTAL=0
COPY --from=manifests /source ./
RUN cargo build --release --locked --bins -p testfleet -p testfleet-worker
COPY config config
COPY crates crates
# The copied files are older than what was built from the empty ones; Cargo goes by that.
RUN find crates config -type f -exec touch {} + \
 && cargo build --release --locked --bins -p testfleet -p testfleet-worker

FROM build AS root
WORKDIR /root-of-image
# testfleet is the stub, too, when it is called so.
RUN mkdir -p usr/local/bin etc/ssl/certs etc/testfleet \
 && install -m 755 -t usr/local/bin /source/target/release/testfleet /source/target/release/testfleet-worker \
 && ln -s testfleet usr/local/bin/testfleet-stub \
 && ldd usr/local/bin/testfleet usr/local/bin/testfleet-worker | grep -o '/[^ ]*\.so[^ ]*' | sort -u | xargs cp --parents --dereference -t . \
 && cp /etc/ssl/certs/ca-certificates.crt etc/ssl/certs/ \
 && cp /source/config/docker.toml etc/testfleet/ \
 && echo 'testfleet:x:65532:65532::/nonexistent:/nonexistent' > etc/passwd \
 && echo 'testfleet:x:65532:' > etc/group \
 && echo 'hosts: files dns' > etc/nsswitch.conf \
 && install -d -m 1777 tmp \
 && install -d -o 65532 -g 65532 work

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="testfleet" \
      org.opencontainers.image.description="Runs test sets against endpoints on a fleet of workers" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=root /root-of-image/ /
ENV PATH=/usr/local/bin \
    TESTFLEET_CONFIG=/etc/testfleet/docker.toml
USER 65532:65532
WORKDIR /work
STOPSIGNAL SIGTERM
# Health checks belong to how a container is used; the worker's is ["testfleet-worker", "healthcheck"].
ENTRYPOINT ["testfleet-worker"]
