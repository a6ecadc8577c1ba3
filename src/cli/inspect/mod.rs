//! `unsecret inspect`: what a token, an assertion or a certificate says, and what will become of it.
//!
//! Offline unless `--discover` asks for keys. The knowledge is in [`crate::inspect`]; here is what is read and printed. Easy to
//! get wrong: the report goes to stdout whatever the checks say, the checks that failed to stderr.

mod error;
mod keys;
mod text;

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::builder::NonEmptyStringValueParser;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::terminal::{Paint, ascii};
use super::{Exit, complain, hardening, note, say};
use crate::clock::{Clock as _, SystemClock};
use crate::inspect::verify::{Check, Expected, verify};
use crate::inspect::{LIMIT, Report, describe, differences, expect, require_secretless, safe_text};
use crate::problem::{Problem, chain};

use error::InspectError;

/// Explain a token, an assertion or a certificate, without repeating it.
///
/// Tells by itself what it is, also inside a token answer or after `Bearer`: which of the two token models, every claim in
/// plain words, the time that is left, and who will refuse it with which status. Reads stdin or a file and nothing else.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, group = clap::ArgGroup::new("keys").args(["jwks", "discover"]))]
#[expect(clippy::struct_excessive_bools, reason = "flags as they are typed")]
pub(crate) struct Args {
    /// The file that holds it; stdin without, or with `-`
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Print only the checks that fail
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Fail when a client secret was used to obtain the token, or when that cannot be told
    #[arg(long)]
    require_secretless: bool,
    /// Fail unless the claim has this value, or is a list that contains it; may be repeated
    #[arg(long, value_name = "CLAIM=VALUE")]
    expect: Vec<String>,
    /// Show the claims in which two tokens differ
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with_all = ["file", "quiet", "require_secretless", "expect", "verify"])]
    diff: Option<Vec<PathBuf>>,
    /// Verify it as your own API must: signature, issuer, audience, times
    #[arg(long, requires_all = ["issuer", "audience", "keys"])]
    verify: bool,
    /// The issuer that your API accepts, letter by letter
    #[arg(long, value_name = "URL", requires = "verify", value_parser = NonEmptyStringValueParser::new())]
    issuer: Option<String>,
    /// The audience that your API accepts
    #[arg(long, value_name = "AUDIENCE", requires = "verify", value_parser = NonEmptyStringValueParser::new())]
    audience: Option<String>,
    #[command(flatten)]
    keys: keys::Keys,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret inspect token.txt                            what it is, until when, who refuses it
  az account get-access-token | unsecret inspect        the token inside an answer
  unsecret inspect --require-secretless < token.txt     for a pipeline: no client secret behind it
  unsecret inspect --expect idtyp=app --expect roles=Mail.Send token.txt
  unsecret inspect --diff yesterday.txt today.txt       what changed
  unsecret inspect --verify --issuer https://login.microsoftonline.com/TENANT/v2.0 \\
    --audience CLIENT --discover token.txt              as your own API must; offline with --jwks
  unsecret inspect certificate.pem                      thumbprints as portal and log show them

Exit status: 0 described, and every check passed; 1 a check failed, or it is not for describing (a
private key, a client secret, something unknown); 2 it cannot be read, or bad usage.";

/// Not a parser of clap's: that would repeat what does not fit, and it may be a token in the wrong place.
fn claim_and_value(text: &str) -> Result<(&str, &str), InspectError> {
    text.split_once('=').filter(|(claim, _)| !claim.is_empty()).ok_or(InspectError::Expectation)
}

pub(super) fn run(args: &Args) -> Exit {
    // What comes in is a token or worse. A sandbox that forbids this is no reason not to look.
    let _ = hardening::forbid_core_dumps();
    let now = SystemClock::new().now().epoch();
    let done = match &args.diff {
        Some(files) => diff(args, files, now),
        None => inspect(args, now),
    };
    done.unwrap_or_else(|problem| {
        complain(&problem);
        problem.exit()
    })
}

fn inspect(args: &Args, now: u64) -> Result<Exit, InspectError> {
    let mut report = describe(&read(args.file.as_deref())?, now);
    let mut checks = demands(args, &report)?;
    if args.verify {
        let outcome = verification(args, &report, now)?;
        report.judge(outcome.iter().all(|check| check.refused.is_none()));
        checks.extend(outcome.into_iter().map(Checked::from));
    }
    let printed = if args.json {
        say(&format!("{}\n", ascii(&whole(&report, &checks)?)))
    } else if args.quiet {
        Exit::Done
    } else {
        say(&text::render(&report, &checks, Paint::stdout()))
    };
    let failed: Vec<_> = checks.iter().filter_map(|check| check.problem.as_deref()).collect();
    if !args.json {
        for problem in &failed {
            complain(*problem);
        }
    }
    Ok(if failed.is_empty() && report.is_described() { printed } else { Exit::Failed })
}

/// A check, and the problem it found.
struct Checked {
    name: String,
    said: String,
    problem: Option<Box<dyn Problem>>,
}

impl From<Check> for Checked {
    fn from(check: Check) -> Self {
        let problem = check.refused.map(|refused| Box::new(refused) as Box<dyn Problem>);
        Self { name: check.name.to_owned(), said: check.said, problem }
    }
}

/// What the flags demand of the claims.
fn demands(args: &Args, report: &Report) -> Result<Vec<Checked>, InspectError> {
    let mut checks = Vec::new();
    if args.require_secretless {
        let problem = require_secretless(report).err().map(|unmet| Box::new(unmet) as Box<dyn Problem>);
        checks.push(Checked { name: "secretless".to_owned(), said: "no client secret was used".to_owned(), problem });
    }
    for expectation in &args.expect {
        let (claim, value) = claim_and_value(expectation)?;
        let problem = expect(report, claim, value).err().map(|unmet| Box::new(unmet) as Box<dyn Problem>);
        let (claim, value) = (safe_text(claim), safe_text(value));
        checks.push(Checked { name: claim, said: format!("is or contains `{value}`"), problem });
    }
    Ok(checks)
}

fn verification(args: &Args, report: &Report, now: u64) -> Result<Vec<Check>, InspectError> {
    let Some(jwt) = report.jwt() else {
        return Err(InspectError::NotVerifiable);
    };
    let wanted = |text: &Option<String>| text.clone().unwrap_or_default();
    let expected = Expected { issuer: wanted(&args.issuer), audience: wanted(&args.audience) };
    let keys = args.keys.read(&expected.issuer)?;
    Ok(verify(jwt, &expected, &keys, now))
}

/// The JSON form: the report, and the checks where any were asked for.
fn whole(report: &Report, checks: &[Checked]) -> Result<String, InspectError> {
    let mut object = serde_json::to_value(report).map_err(InspectError::Json)?;
    let checks: Vec<_> = checks.iter().map(of_check).collect();
    if !checks.is_empty() {
        object["checks"] = Value::Array(checks);
    }
    serde_json::to_string_pretty(&object).map_err(InspectError::Json)
}

fn of_check(check: &Checked) -> Value {
    match &check.problem {
        None => json!({ "name": check.name, "passed": true, "said": check.said }),
        Some(problem) => json!({
            "name": check.name, "passed": false, "said": chain(problem.as_ref()), "code": problem.code(),
            "remedy": problem.remedy(),
        }),
    }
}

fn diff(args: &Args, files: &[PathBuf], now: u64) -> Result<Exit, InspectError> {
    let [a, b] = files else { return Ok(Exit::Usage) };
    let (a, b) = (describe(&read(Some(a))?, now), describe(&read(Some(b))?, now));
    match differences(&a, &b, now) {
        Ok(all) if args.json => {
            let text = serde_json::to_string_pretty(&json!({ "differences": all })).map_err(InspectError::Json)?;
            Ok(say(&format!("{}\n", ascii(&text))))
        }
        Ok(all) => Ok(say(&text::differences(&all, Paint::stdout()))),
        Err(unmet) => {
            complain(&unmet);
            Ok(Exit::Failed)
        }
    }
}

/// All of a file or of stdin, up to the limit. Wiped when dropped: it usually is a secret.
fn read(file: Option<&Path>) -> Result<Zeroizing<Vec<u8>>, InspectError> {
    let name = file.filter(|path| *path != Path::new("-"));
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    // One more than may be, so that what is too large is told from what just fits.
    let most = LIMIT as u64 + 1;
    if name.is_none() && std::io::stdin().is_terminal() {
        note("paste it, then end with Ctrl-D; it is not repeated\n");
    }
    let done = match name {
        Some(path) => std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)),
        None => std::io::stdin().lock().take(most).read_to_end(&mut bytes),
    };
    // Who types a token where the file belongs must not find it in the log of a pipeline.
    let called = || name.map_or_else(|| "stdin".to_owned(), |path| format!("`{}`", safe_text(&path.to_string_lossy())));
    done.map_err(|source| InspectError::Unreadable { from: called(), source })?;
    if bytes.len() > LIMIT { Err(InspectError::TooLarge { from: called() }) } else { Ok(bytes) }
}
