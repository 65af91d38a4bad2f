//! Small recordings with a known truth, analysed by the command. The folder `cases` has them: each
//! has one property that once made a number wrong, and a `control` lacks it.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases")
        .join(name)
}

fn analyse(arguments: &[&str], file: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-agent"));
    command.args(["analyse", "--dry-run"]).args(arguments);
    for name in ["SERVER", "API", "FORMAT", "NAME", "CONFIG", "INCLUDE_HOST"] {
        command.env_remove(format!("BUBBLE_{name}"));
    }
    command.arg(file).stdin(Stdio::null()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The report of a file, and the exit code of the command.
fn report_of(file: &Path) -> (Value, i32) {
    let output = analyse(&["--json"], file);
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}: {}", file.display(), stderr(&output)));
    (report, output.status.code().unwrap())
}

fn report(name: &str) -> Value {
    let (report, code) = report_of(&case(name));
    assert_eq!(code, 0, "{name}");
    report
}

/// Role, address, bytes in and out of each peer of the only container.
fn peers(report: &Value) -> Vec<(String, String, u64, u64)> {
    let peers = report["containers"][0]["peers"].as_array().unwrap();
    let mut peers: Vec<_> = peers
        .iter()
        .map(|peer| {
            let text = |name: &str| peer[name].as_str().unwrap().to_owned();
            let count = |name: &str| peer[name].as_u64().unwrap();
            (
                format!("{} {}", text("protocol"), text("role")),
                text("address"),
                count("received"),
                count("sent"),
            )
        })
        .collect();
    peers.sort();
    peers
}

fn peer(role: &str, address: &str, received: u64, sent: u64) -> (String, String, u64, u64) {
    (role.to_owned(), address.to_owned(), received, sent)
}

fn losses(report: &Value) -> Vec<String> {
    let losses = report["containers"][0]["losses"].as_array().unwrap();
    losses
        .iter()
        .map(|loss| format!("{} {}", loss["count"], loss["reason"].as_str().unwrap()))
        .collect()
}

/// `sysdig -r A -w B FILTER` dates the events of containers by the day on which it runs.
#[test]
fn the_time_of_a_rewritten_capture_is_that_of_its_calls() {
    let mut rewritten = report("01-rewritten.scap");
    let mut control = report("01-control.scap");
    assert_eq!(rewritten["first"], 1_555_011_813_500_000_000_u64);
    assert_eq!(rewritten["last"], 1_555_011_817_500_001_000_u64);
    let container = &rewritten["containers"][0];
    assert_eq!(container["name"], "web");
    assert_eq!(container["files_total"]["read"], 5_000);
    assert_eq!(
        container["last"].as_u64().unwrap() - container["first"].as_u64().unwrap(),
        5
    );
    assert_eq!(container["wall_seconds"], 4.000_001);
    assert_eq!(losses(&rewritten), [""; 0]);
    rewritten["name"] = Value::Null;
    control["name"] = Value::Null;
    assert_eq!(rewritten, control);
}

#[test]
fn samples_and_switches_add_up() {
    for name in ["02-control.scap", "02-samples-and-one-switch.scap"] {
        let report = report(name);
        assert_eq!(
            report["containers"][0]["cpu_ns"], 5_000_000_000_u64,
            "{name}"
        );
    }
}

/// Writers before August 2018 call sockets of UDP over IPv6 TCP.
#[test]
fn datagrams_of_a_socket_listed_as_tcp_go_to_the_peer_of_each() {
    for name in ["03-control-l4-udp.scap", "03-udp6-listed-as-tcp.scap"] {
        let expected = [
            peer("udp server", "10.0.0.1", 50, 0),
            peer("udp server", "10.0.0.2", 51, 0),
            peer("udp server", "10.0.0.3", 52, 0),
        ];
        assert_eq!(peers(&report(name)), expected, "{name}");
    }
}

#[test]
fn a_client_of_datagrams_has_one_peer() {
    let expected = [peer("udp client", "10.0.2.15:53", 148, 30)];
    assert_eq!(peers(&report("05-dns-client.jsonl")), expected);
}

#[test]
fn threads_without_their_first_are_one_process() {
    let report = report("07-threads-without-leader.scap");
    let container = &report["containers"][0];
    let processes = container["processes"].as_array().unwrap();
    let of_pid = processes.iter().filter(|process| process["pid"] == 300);
    assert_eq!(of_pid.count(), 1);
    assert_eq!(
        (
            &container["processes_started"],
            &container["processes_ended"]
        ),
        (&1.into(), &1.into())
    );
}

#[test]
fn all_failures_are_counted() {
    let name = "08-150-failed.scap.gz";
    let report = report(name);
    assert_eq!(report["containers"][0]["processes_failed"], 150);
    let text = String::from_utf8(analyse(&[], &case(name)).stdout).unwrap();
    assert!(
        text.contains("150 ended, 150 of them not with code 0"),
        "{text}"
    );
    assert!(text.contains("… and 140 more"), "{text}");
}

/// glibc looks for the best address: it connects a UDP socket of IPv6 to each, and disconnects it
/// (`AF_UNSPEC`) in between.
#[test]
fn a_disconnect_is_no_connection() {
    let report = report("09-connect-unspec.scap");
    assert_eq!(peers(&report), [peer("udp client", "172.66.0.96:80", 0, 0)]);
    assert_eq!(report["containers"][0]["network_total"]["connects"], 1);
}

#[test]
fn other_captures_are_refused_by_name() {
    for (name, says) in [
        ("10-network.pcapng", "network capture"),
        ("11-big-endian.scap", "big-endian machine"),
    ] {
        let output = analyse(&[], &case(name));
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(
            stderr(&output).contains(says),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[test]
fn an_event_of_a_container_is_an_event() {
    let report = report("13-container-only.jsonl");
    assert_eq!(
        (&report["events"], &report["skipped"]),
        (&1.into(), &0.into())
    );
    assert_eq!(report["containers"].as_array().unwrap().len(), 0);
}

#[test]
fn values_that_cannot_be_are_told() {
    let back = report("14-time-goes-back.scap");
    // The run that began at the damaged time is not known.
    assert_eq!(back["containers"][0]["cpu_ns"], 1_000_000);
    assert_eq!(losses(&back), ["1 implausible"]);
    let huge = report("14-huge-result.scap");
    assert_eq!(huge["containers"][0]["files_total"]["read"], 0);
    assert_eq!(losses(&huge), ["1 implausible"]);
    let future = report("14-far-future.jsonl");
    assert_eq!(future["skipped"], 1);
    assert!(losses(&future).iter().all(|loss| !loss.ends_with("late")));
    let first = future["first"].as_u64().unwrap();
    assert!(future["last"].as_u64().unwrap() - first < 60_000_000_000);
}

/// Its length is damaged, and its fields are not.
#[test]
fn a_damaged_entry_of_a_list_does_not_cost_the_others() {
    let (report, code) = report_of(&case("16-one-bad-list-entry.scap"));
    assert_eq!((code, &report["events"]), (3, &10.into()));
    assert_eq!(report["containers"][0]["files_total"]["read"], 5_000);
    let damage = report["damage"].as_str().unwrap();
    assert!(damage.contains("list of threads"), "{damage}");
}

/// A flipped bit anywhere in the lists costs at most its entry: the events are read.
#[test]
fn a_flipped_bit_in_a_list_does_not_cost_the_events() {
    let whole = std::fs::read(case("01-control.scap")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flipped.scap");
    let section = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    let machine = section + block_length(&whole, section);
    let lists = machine + 8..machine + block_length(&whole, machine) - 4;
    for at in lists.step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x80;
        std::fs::write(&file, flipped).unwrap();
        let (report, code) = report_of(&file);
        assert!([0, 3].contains(&code), "{at}");
        assert_eq!(report["events"], 11, "{at}");
    }
}

fn block_length(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize
}

#[test]
fn zstd_is_read_and_other_wrappings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut capture = Vec::new();
    let gz = std::fs::File::open(case("08-150-failed.scap.gz")).unwrap();
    flate2::read::GzDecoder::new(gz)
        .read_to_end(&mut capture)
        .unwrap();
    let zstd = write("x.zst", &zstd::encode_all(&capture[..], 3).unwrap());
    assert_eq!(report_of(&zstd).0["events"], 300);
    let mut twice = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    twice
        .write_all(&std::fs::read(case("08-150-failed.scap.gz")).unwrap())
        .unwrap();
    let mut tar = vec![b'1'; 1_024];
    tar[257..262].copy_from_slice(b"ustar");
    let utf_16: Vec<u8> = "1 1506127469.9 0"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (name, bytes, says) in [
        ("x.xz", &b"\xfd7zXZ\0\0\x04"[..], "xz -d"),
        ("x.bz2", b"BZh91AY&SY", "bunzip2"),
        ("x.lz4", b"\x04\x22\x4d\x18\x64\x40", "lz4 -d"),
        ("x.zip", b"PK\x03\x04\x14\0", "unzip"),
        ("x.tar", &tar, "tar -xf"),
        ("x.pcap", b"\xd4\xc3\xb2\xa1\x02\0\x04\0", "network capture"),
        ("x.txt", &utf_16, "iconv"),
        ("x.gz.gz", &twice.finish().unwrap(), "gunzip"),
    ] {
        for format in [&[][..], &["--format", "scap"]] {
            let output = analyse(format, &write(name, bytes));
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert!(
                stderr(&output).contains(says),
                "{name}: {}",
                stderr(&output)
            );
        }
    }
}

/// Output that other options of sysdig print.
#[test]
fn other_output_is_refused_with_the_command_that_helps() {
    let folder = tempfile::tempdir().unwrap();
    let object = |fields: &str| {
        format!(
            "{{{fields}\"evt.cpu\":0,\"evt.dir\":\"<\",\"evt.info\":\"res=1 \",\"evt.type\":\"read\",\"proc.name\":\"x\",\"thread.tid\":7}}\n"
        )
    };
    let of_container = "\"container.id\":\"0123456789ab\",";
    for (content, says) in [
        (
            "1 0.000000000 0 web (0123456789ab) x (7:1) < read res=1 ".to_owned(),
            "-t r",
        ),
        (
            "1 12.5 0 web (0123456789ab) x (7:1) < read res=1 ".to_owned(),
            "sysdig -pc -t a",
        ),
        (
            "1 10:00:01.5 0 web (0123456789ab) x (7:1) < read res=1 ".to_owned(),
            "-t h",
        ),
        (
            "1 1506127469.9 0 x (7) < read res=1 ".to_owned(),
            "sysdig -pc -t a",
        ),
        (
            object("\"evt.outputtime\":1506127469905003444,"),
            "sysdig -pc -j",
        ),
        (
            object(&format!("{of_container}\"evt.outputtime\":12,")),
            "-t r",
        ),
    ] {
        let file = folder.path().join("printed");
        std::fs::write(&file, format!("{content}\n")).unwrap();
        let output = analyse(&[], &file);
        assert_eq!(output.status.code(), Some(1), "{content}");
        assert!(
            stderr(&output).contains(says),
            "{content}: {}",
            stderr(&output)
        );
    }
    // Windows programs mark text in UTF-8.
    let file = folder.path().join("marked");
    let line =
        "1 1506127469.9 0 web (0123456789ab) x (7:1) < read res=1 data=x fd=0(<f>/a) size=1 ";
    std::fs::write(&file, format!("\u{feff}{line}\n")).unwrap();
    let (report, code) = report_of(&file);
    assert_eq!((code, &report["skipped"]), (0, &0.into()));
}
