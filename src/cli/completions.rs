//! `unsecret completions`: scripts by which shells complete our verbs and options.
//!
//! Made from the same tree that parses the arguments, so that they cannot say anything else. Not for values that only a
//! running broker knows (identities, scopes).

use super::{Exit, command, say};

/// Print the script by which a shell completes verbs and options.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// The shell that reads the script
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

const AFTER_HELP: &str = "\
Examples:
  unsecret completions bash > ~/.local/share/bash-completion/completions/unsecret
  unsecret completions zsh > ~/.zfunc/_unsecret    with `fpath+=~/.zfunc` before `compinit`
  unsecret completions fish > ~/.config/fish/completions/unsecret.fish
  unsecret completions powershell >> $PROFILE
  unsecret completions elvish >> ~/.config/elvish/rc.elv

For everybody on the machine:
  bash   /usr/share/bash-completion/completions/unsecret on Debian and Fedora
  zsh    /usr/share/zsh/vendor-completions/_unsecret on Debian
         /usr/share/zsh/site-functions/_unsecret on Fedora
  fish   /usr/share/fish/vendor_completions.d/unsecret.fish on Debian and Fedora
  macOS  below $(brew --prefix): etc/bash_completion.d/unsecret, share/zsh/site-functions/_unsecret,
         share/fish/vendor_completions.d/unsecret.fish";

pub(super) fn run(args: &Args) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "unsecret", &mut script);
    say(&String::from_utf8_lossy(&script))
}
