//! Plays seeds one after the other and says what broke: `sim [first] [count]`.

use sim::run::{Plan, run};

fn main() -> std::io::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .without_time()
        .with_ansi(false)
        .init();
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse().ok());
    let first: u64 = numbers.next().unwrap_or(1);
    let count: u64 = numbers.next().unwrap_or(1);
    for seed in first..first + count {
        let plan = match std::env::var("SIM_PLAN").as_deref() {
            Ok("founding") => Plan::founding(seed),
            Ok("votes") => Plan::forgetting_votes(seed),
            Ok("sync") => Plan::syncing_late(seed),
            _ => Plan::new(seed),
        };
        let report = run(&plan)?;
        println!(
            "seed {seed}: {} acked, {} confirmed, {} events, trace {:016x}",
            report.acked, report.confirmed, report.events, report.trace_hash
        );
        for violation in &report.violations {
            println!("  {violation}");
        }
        if count == 1 || !report.violations.is_empty() {
            println!("  {}", report.lines.join("\n  "));
        }
    }
    Ok(())
}
