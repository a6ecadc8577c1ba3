//! `unsecret key`: make keys that cannot be copied, and the certificates that Entra knows them by.
//!
//! What a program needs goes to stdout (a URI, or `--json`), words for people to stderr. Nothing here overwrites: a key
//! is made once, a file is written once, and only `import-certificate` replaces one, keeping the old beside it. Easy to
//! get wrong: these verbs log in to the tokens that the broker logs in to, so they share its record of refused PINs.

mod certificate;
mod create;
mod error;
mod import;
mod issue;
mod list;
mod machine;
mod next;
mod output;
mod prompt;
mod request;
mod roll;
mod subject;
mod test;

use super::{Exit, complain, hardening, logging, note};
use error::Stop;

/// Make keys that cannot be copied, and certificates for them.
///
/// A key is named by a URI, as in the configuration: `pkcs11:…` for a token or HSM, `tpm:…` for a TPM, `file:/…` for a
/// file, which is the stepping stone. docs/keys.md walks the whole way from no key to a token.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret key create file:/etc/unsecret/billing.key
  unsecret key certificate file:/etc/unsecret/billing.key --subject CN=billing --out billing.pem
  unsecret key list /usr/lib/softhsm/libsofthsm2.so       which keys are in this module's tokens?
  unsecret key test file:/etc/unsecret/billing.key        does it sign, with what, and how fast?";

/// In the order in which they are needed.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    Create(create::Args),
    List(list::Args),
    Test(test::Args),
    Certificate(certificate::Args),
    Request(request::Args),
    ImportCertificate(import::Args),
    Roll(roll::Args),
}

pub(super) fn run(args: &Args) -> Exit {
    // PINs pass through here. A sandbox that forbids this is no reason not to work.
    let _ = hardening::forbid_core_dumps();
    logging::start("warn", false);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build() else {
        note("error: the runtime could not be started\n");
        return Exit::Ourselves;
    };
    let outcome = runtime.block_on(work(&args.verb));
    // A token that hangs must not hold us.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|stop| match stop {
        Stop::Told(exit) => exit,
        Stop::Usage(problem) => {
            complain(&*problem);
            Exit::Usage
        }
        Stop::Sign(problem) => {
            complain(&problem);
            Exit::Failed
        }
        Stop::Because(problem) => {
            complain(&*problem);
            Exit::Failed
        }
        Stop::Shared(problem) => {
            complain(&*problem);
            Exit::Failed
        }
    })
}

async fn work(verb: &Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Create(args) => create::run(args).await,
        Verb::List(args) => list::run(args).await,
        Verb::Test(args) => test::run(args).await,
        Verb::Certificate(args) => certificate::run(args).await,
        Verb::Request(args) => request::run(args).await,
        Verb::ImportCertificate(args) => import::run(args).await,
        Verb::Roll(args) => roll::run(args).await,
    }
}
