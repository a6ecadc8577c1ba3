//! `unsecret net-setup`, in a network namespace of the test's own.
//!
//! What a pod with `intercept: loopback-address` does: the address is added with CAP_NET_ADMIN alone, and a broker without any
//! capability listens there.

use std::process::{Command, Output};

use crate::support::parts::{Level, missing};

/// In a namespace with a loopback interface that is up.
fn apart(script: &str) -> Output {
    let script = format!("ip link set lo up || exit 77\n{script}");
    Command::new("unshare")
        .args(["-n", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_unsecret")])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap()
}

fn can_be_apart() -> bool {
    let able = Command::new("sh")
        .args(["-c", "command -v ip && command -v setpriv && unshare -n ip link set lo up"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !able {
        missing(Level::Full, "unshare -n, ip and setpriv");
    }
    able
}

const ONLY_NET_ADMIN: &str = "setpriv --bounding-set -all,+net_admin --inh-caps -all,+net_admin";

#[test]
fn the_address_is_added_with_one_capability_and_nothing_else_is() {
    if !can_be_apart() {
        return;
    }
    let output = apart(&format!(
        "ip -o address show > /tmp/before.$$; {ONLY_NET_ADMIN} \"$0\" net-setup || exit 1; {ONLY_NET_ADMIN} \"$0\" net-setup || exit 2
         ip -o address show | diff /tmp/before.$$ - ; rm /tmp/before.$$; ip route show table main"
    ));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{said}");
    assert!(said.contains("added to the loopback interface") && said.contains("already"), "{said}");
    let added: Vec<&str> = out.lines().filter(|line| line.starts_with(['<', '>'])).collect();
    assert!(matches!(added[..], [line] if line.contains("inet 169.254.169.254/32 scope host lo")), "{out}");
    assert!(!out.contains("169.254.169.254 dev"), "{out}");
}

#[test]
fn without_the_capability_it_says_which_is_missing() {
    if !can_be_apart() {
        return;
    }
    let output = apart("exec setpriv --bounding-set -all --inh-caps -all \"$0\" net-setup");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CAP_NET_ADMIN") && said.contains("unsecret.dev/intercept"), "{said}");
    assert!(said.contains("code: net-setup-forbidden"), "{said}");
}

#[test]
fn a_broker_without_capabilities_listens_there() {
    if !can_be_apart() {
        return;
    }
    let output = apart(&format!(
        "{ONLY_NET_ADMIN} \"$0\" net-setup && sysctl -qw net.ipv4.ip_unprivileged_port_start=0
         export UNSECRET_TENANT=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee UNSECRET_CLIENT_ID=11111111-2222-4333-8444-555555555555
         export UNSECRET_SCOPES=https://vault.azure.net/.default UNSECRET_ASSERTION_FILE=/nowhere UNSECRET_ANY_LOCAL_CALLER=true
         export UNSECRET_LISTEN_HTTP=169.254.169.254:80 UNSECRET_LISTEN_ADMIN=127.0.0.1:9464
         cd /; setpriv --reuid 65532 --regid 65532 --clear-groups --bounding-set -all --inh-caps -all \"$0\" run &
         broker=$!
         for try in $(seq 300); do curl -s -o /dev/null http://127.0.0.1:9464/livez && break; kill -0 $broker || break; sleep 0.1; done
         curl -s -w '%{{http_code}}\\n' -o /dev/null http://169.254.169.254/metadata/instance?api-version=2021-02-01 -H Metadata:true
         curl -s -w '%{{http_code}}\\n' 'http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01'
         kill $broker; wait $broker"
    ));
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some("404"), "node metadata\n{out}{said}");
    // No `Metadata: true`: the door's own refusal.
    assert!(out.ends_with("400\n") && out.contains("error"), "{out}{said}");
}
