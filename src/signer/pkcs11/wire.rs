//! Frames between parent and child: how a message becomes bytes and back.
//!
//! A frame is its length (four bytes, big-endian) and that many bytes. No format for anybody else: both ends are the same
//! program. Easy to get wrong: a PIN travels here, so a frame is wiped after use and never grows while it is written, for
//! growing leaves a copy behind.

use zeroize::Zeroizing;

use crate::signer::Pin;

/// Longer than any list of tokens or keys; what claims to be longer is garbage.
pub(super) const LONGEST: usize = 16 << 20;

/// Room for everything but the data to be signed, so that a frame does not grow.
const ROOM: usize = 16 << 10;

/// A whole frame with its length, ready to be written.
pub(super) fn frame(message: &impl Wire, data: usize) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(ROOM + data));
    bytes.extend_from_slice(&[0; 4]);
    message.put(&mut bytes);
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The length that a frame's first four bytes claim, if it is one that a frame can have.
pub(super) fn length(head: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(head)).ok().filter(|length| *length <= LONGEST)
}

/// What a frame without its length holds; `None` for garbage.
pub(super) fn read<T: Wire>(mut bytes: &[u8]) -> Option<T> {
    let message = T::take(&mut bytes)?;
    bytes.is_empty().then_some(message)
}

/// Something that can be in a frame.
pub(super) trait Wire: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;
}

impl Wire for u8 {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(*self);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        from.split_off_first().copied()
    }
}

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u8::take(from).and_then(|byte| [false, true].get(usize::from(byte)).copied())
    }
}

impl Wire for u32 {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (head, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_be_bytes(*head))
    }
}

impl Wire for u64 {
    fn put(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.to_be_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let (head, rest) = from.split_first_chunk()?;
        *from = rest;
        Some(Self::from_be_bytes(*head))
    }
}

fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).put(to);
    to.extend_from_slice(bytes);
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::take(from)?).ok()?;
    from.split_off(..length)
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        take_bytes(from).and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }
}

impl Wire for Pin {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.expose(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        take_bytes(from).map(|bytes| Self::new(Zeroizing::new(bytes.to_vec())))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, to: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).put(to);
        for item in self {
            item.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        (0..u32::take(from)?).map(|_| T::take(from)).collect()
    }
}
