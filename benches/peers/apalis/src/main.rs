//! `peer-apalis worker NAME` and `peer-apalis dispatch WORKLOAD N`, with the environment that the driver gives.

mod dispatch;
mod job;
mod setting;
mod worker;

use apalis::prelude::BoxDynError;

use setting::Setting;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), BoxDynError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let setting = Setting::from_environment()?;
    match words[..] {
        ["worker", name] => worker::run(&setting, name).await,
        ["dispatch", workload, count] => dispatch::run(&setting, workload, count.parse()?).await,
        _ => Err("usage: peer-apalis worker NAME | dispatch WORKLOAD N".into()),
    }
}
