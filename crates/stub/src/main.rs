//! `testfleet-stub`: see [`testfleet_stub::program`].

fn main() -> anyhow::Result<()> {
    testfleet_stub::program(std::env::args_os())
}
