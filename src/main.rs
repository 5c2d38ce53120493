//! The `slipway` program.

fn main() -> std::process::ExitCode {
    slipway::cli::main()
}
