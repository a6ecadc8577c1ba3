//! `unsecret demo`: the emulator, the broker and a legacy app in one process, telling what happens.
//!
//! Every line comes from the emulator's journal or from an answer just read; a step that does not see what it promises
//! names itself and the demo ends with status 1. Not a mock-up: the app, the broker and the emulator speak over real
//! sockets. The one thing that is not real is time, which the story moves forward where it says so.

mod legacy_app;
mod metrics_page;
mod stage;
mod story;

use std::str::FromStr as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use self::stage::Stage;
use self::story::Step;
use super::Exit;

/// Well within the hour that a platform token lives.
const ROTATION: Duration = Duration::from_secs(20 * 60);

/// See a legacy app lose its client secret: emulator, broker and app in one process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  unsecret demo           tells the story and ends by itself
  unsecret demo --hold    stays up afterwards and prints curl lines to try")]
pub(crate) struct Args {
    /// Stay up after the story, until Ctrl-C
    #[arg(long)]
    hold: bool,
    /// Break one step on purpose, so that a test can see the demo notice.
    #[arg(long, hide = true, value_name = "STEP", value_parser = Step::from_str)]
    sabotage: Option<Step>,
}

pub(super) fn run(args: &Args) -> Exit {
    super::logging::start("off", false);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Exit::Ourselves;
    };
    match runtime.block_on(tell(args)) {
        Ok(()) => Exit::Done,
        Err(failed) => {
            say(&format!("\ndemo failed at step `{}`: {}", failed.step, failed.why));
            Exit::Failed
        }
    }
}

/// A step that did not see what it promises.
#[derive(Debug)]
struct Failed {
    step: &'static str,
    why: String,
}

async fn tell(args: &Args) -> Result<(), Failed> {
    let mut stage = Stage::set(args.sabotage).await.map_err(|why| Failed { step: "stage", why })?;
    say("All on this machine, in this process: a strict local Entra, the broker, and an app that knows only");
    say("a token URL, a client id and a secret. Every line below is an answer just read or Entra's own journal.");
    for (number, step) in (1..).zip(Step::ALL) {
        say(&format!("\n{number}. {}", step.title()));
        let lines = step.play(&mut stage).await.map_err(|why| Failed { step: step.name(), why })?;
        for line in lines {
            say(&format!("   {line}"));
        }
    }
    if args.hold {
        hold(&stage).await;
    }
    stage.strike().await;
    Ok(())
}

async fn hold(stage: &Stage) {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return };
    // The emulator's issuer is no kubelet: somebody has to bring new platform tokens for as long as this is up.
    let mut rotation = tokio::time::interval(ROTATION);
    say("\nStill up; try these, and end with Ctrl-C:");
    for line in stage.curl_lines() {
        say(&line);
    }
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = rotation.tick() => stage.write_platform_token(),
        }
    }
}

/// The story is the output. Whether its reader stays to the end changes nothing.
fn say(line: &str) {
    let _ = super::say(&format!("{line}\n"));
}
