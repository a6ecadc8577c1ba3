//! Asks a person for a PIN, and shows nothing of it.
//!
//! Easy to get wrong: Ctrl-C must not leave the terminal without echo, so signals by key are off as well while it is
//! typed, and the key itself is understood here.

use std::io::{self, IsTerminal as _};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::error::KeyError;
use crate::cli::note;
use crate::signer::Pin;

/// Longer than any PIN; room for it is had at once, so that no growing leaves a copy behind.
const LONGEST: usize = 1_024;

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: [u8; 2] = [8, 127];
const CTRL_U: u8 = 21;

/// Whether somebody is there to ask.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on stderr, reads from stdin.
pub(super) fn pin(token: &str) -> Result<Pin, KeyError> {
    let silence = Silence::begin().map_err(KeyError::Prompt)?;
    note(&format!("PIN of `{token}`: "));
    let typed = line(letter);
    note("\n");
    drop(silence);
    typed.map(Pin::new).map_err(KeyError::Prompt)
}

/// The terminal without echo, until dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Flush: what was typed before the question is no answer to it.
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// One byte, past the buffer of `io::stdin`, which nobody would wipe.
fn letter() -> io::Result<Option<u8>> {
    let mut byte = [0];
    let read = rustix::io::retry_on_intr(|| rustix::io::read(io::stdin(), &mut byte))?;
    Ok((read == 1).then_some(byte[0]))
}

/// What is typed up to the end of the line, with the keys that mend it.
fn line(mut next: impl FnMut() -> io::Result<Option<u8>>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut typed = Zeroizing::new(Vec::with_capacity(LONGEST));
    while let Some(byte) = next()? {
        match byte {
            // A token may count an empty PIN as a failure.
            b'\r' | b'\n' if typed.is_empty() => break,
            b'\r' | b'\n' => return Ok(typed),
            CTRL_C => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up with Ctrl-C")),
            CTRL_D => break,
            CTRL_U => typed.clear(),
            byte if BACKSPACE.contains(&byte) => {
                typed.pop();
            }
            byte if typed.len() < LONGEST => typed.push(byte),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than 1024 bytes")),
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was typed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_the_keys_that_mend_it() {
        let read = |bytes: &[u8]| {
            let mut bytes = bytes.iter().copied();
            line(|| Ok(bytes.next())).map(|pin| pin.to_vec())
        };
        assert_eq!(read(b"1234\rmore").unwrap(), b"1234");
        assert_eq!(read(b"12x\x7f34\n").unwrap(), b"1234");
        assert_eq!(read(b"wrong\x15user:p\xe4ss\n").unwrap(), b"user:p\xe4ss");
        assert!(read(b"\n").unwrap_err().to_string().contains("nothing was typed"));
        assert!(read(b"12\x03").unwrap_err().to_string().contains("Ctrl-C"));
        assert!(read(b"12").is_err() && read(&[b'1'; 2_000]).is_err());
    }
}
