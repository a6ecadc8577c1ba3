//! One netlink message (rtnetlink(7)): `RTM_NEWADDR`, and the kernel's answer.
//!
//! By hand, since it is 40 bytes and the crates for it are several. Easy to get wrong: numbers are in this machine's byte
//! order, addresses in the network's.

use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, recv, sendto, socket_with};

/// Whether there was something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    Now,
    Before,
}

const RTM_NEWADDR: u16 = 20;
const NLMSG_ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL`.
const FLAGS: u16 = 0x1 | 0x4 | 0x400 | 0x200;
const AF_INET: u8 = 2;
/// `RT_SCOPE_HOST`: this machine answers for it, and for no other's sake.
const SCOPE_HOST: u8 = 254;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Header, `ifaddrmsg`, and two attributes of 8 bytes.
const LENGTH: usize = 16 + 8 + 8 + 8;

pub(super) fn add_to_loopback(address: Ipv4Addr) -> io::Result<Added> {
    // Protocol 0 is NETLINK_ROUTE.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let index = netdevice::name_to_index(&socket, "lo")?;
    sendto(&socket, &message(address, index), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0; 512];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    verdict(&answer[..length])
}

fn message(address: Ipv4Addr, index: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(LENGTH);
    // nlmsghdr: length, type, flags, sequence, port of the sender (the kernel's choice).
    message.extend(u32::try_from(LENGTH).unwrap_or_default().to_ne_bytes());
    message.extend(RTM_NEWADDR.to_ne_bytes());
    message.extend(FLAGS.to_ne_bytes());
    message.extend(1_u32.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    // ifaddrmsg: family, prefix length, flags, scope, interface.
    message.extend([AF_INET, 32, 0, SCOPE_HOST]);
    message.extend(index.to_ne_bytes());
    for attribute in [IFA_LOCAL, IFA_ADDRESS] {
        message.extend(8_u16.to_ne_bytes());
        message.extend(attribute.to_ne_bytes());
        message.extend(address.octets());
    }
    message
}

/// `nlmsgerr` holds a negative errno, or 0 for done.
fn verdict(answer: &[u8]) -> io::Result<Added> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is none to this message");
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    let code = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match (kind, code) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(Added::Now),
        (Some(NLMSG_ERROR), Some(code)) if code == -rustix::io::Errno::EXIST.raw_os_error() => Ok(Added::Before),
        (Some(NLMSG_ERROR), Some(code)) => Err(io::Error::from_raw_os_error(code.saturating_neg())),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: i32) -> Vec<u8> {
        let mut answer = vec![0; 36];
        answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        answer[16..20].copy_from_slice(&code.to_ne_bytes());
        answer
    }

    #[test]
    fn the_kernels_answer_is_understood() {
        assert_eq!(verdict(&answer(0)).unwrap(), Added::Now);
        assert_eq!(verdict(&answer(-17)).unwrap(), Added::Before);
        assert_eq!(verdict(&answer(-1)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(verdict(&[0; 12]).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_message_is_as_long_as_it_says() {
        let message = message(Ipv4Addr::new(169, 254, 169, 254), 1);
        assert_eq!(message.len(), LENGTH);
        assert!(message.ends_with(&[169, 254, 169, 254]));
    }
}
