//! Files that are no recording, or one in a wrapping that is not read: named, with the command that
//! helps.

/// The position and the text of tar's magic number (POSIX `ustar`).
const TAR: (usize, &[u8]) = (257, b"ustar");

/// Files by their first bytes, and the words for them.
const FILES: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "it is compressed: unpack it with `xz -d`"),
    (b"BZh", "it is compressed: unpack it with `bunzip2`"),
    (
        b"\x04\x22\x4d\x18",
        "it is compressed: unpack it with `lz4 -d`",
    ),
    (
        b"\x5d\0\0",
        "it is compressed: unpack it with `xz -d --format=lzma`",
    ),
    (b"\x1f\x9d", "it is compressed: unpack it with `uncompress`"),
    (
        b"\x1f\x8b",
        "it is compressed twice: unpack it with `gunzip` first",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "it is compressed twice: unpack it with `unzstd` first",
    ),
    (b"PK\x03\x04", "it is a zip archive: unpack it with `unzip`"),
    (
        b"7z\xbc\xaf\x27\x1c",
        "it is a 7z archive: unpack it with `7z x`",
    ),
    (b"\xd4\xc3\xb2\xa1", NETWORK),
    (b"\xa1\xb2\xc3\xd4", NETWORK),
    (b"\x4d\x3c\xb2\xa1", NETWORK),
    (b"\xa1\xb2\x3c\x4d", NETWORK),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
];
const NETWORK: &str = "it is a network capture (pcap); `sysdig -w` records system calls";
const UTF_16: &str = "it is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`";

/// What a file is that begins with `data`, if it is one that is known and not read.
pub fn name(data: &[u8]) -> Option<&'static str> {
    let (at, magic) = TAR;
    if data.get(at..).is_some_and(|rest| rest.starts_with(magic)) {
        return Some("it is a tar archive: unpack it with `tar -xf`");
    }
    // Without a mark of the order of bytes.
    if matches!(
        data,
        [b'0'..=b'9' | b'[' | b'{', 0, ..] | [0, b'0'..=b'9' | b'[' | b'{', ..]
    ) {
        return Some(UTF_16);
    }
    let known = FILES.iter().find(|(magic, _)| data.starts_with(magic));
    known.map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn other_files_are_named() {
        let mut tar = vec![b'1'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (data, says) in [
            (&tar[..], "tar -xf"),
            (b"\xfd7zXZ\0\0", "xz -d"),
            (b"BZh91AY", "bunzip2"),
            (b"\x04\x22\x4d\x18d", "lz4 -d"),
            (b"PK\x03\x04\x14", "unzip"),
            (b"\xd4\xc3\xb2\xa1\x02", "network capture"),
            (b"\xff\xfe1\0", "iconv"),
            (b"{\0\"\0", "iconv"),
        ] {
            assert!(name(data).is_some_and(|name| name.contains(says)), "{says}");
        }
        for data in [
            &b""[..],
            b"1 1506127469.9",
            b"{\"a\"",
            b"\x0a\x0d\x0d\x0a\x1c",
        ] {
            assert_eq!(name(data), None);
        }
    }
}
