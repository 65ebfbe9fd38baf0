//! What a COPY's messages become does not depend on how they were cut, and nothing else passes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

use pgcopy::{Message, MessageError, Messages, Rows};
use proptest::prelude::*;

const ROW: usize = 1000;
const OTHER: usize = 100;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

type Read = Result<(Vec<u8>, Vec<Message>, Vec<u8>), MessageError>;

/// The rows, the other messages and what came after the end, with the input cut in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut messages = Messages::new(ROW, OTHER);
    let (mut rows, mut others, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        let mut taken = 0;
        if !messages.ended() {
            taken = messages.receive(piece, &mut rows, &mut others)?;
        }
        after.extend_from_slice(&piece[taken..]);
    }
    Ok((rows, others, after))
}

/// The same with the rows found in one buffer that the pieces fill, of messages their heads too.
fn found<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let mut messages = Messages::new(ROW, OTHER);
    let (mut places, mut others, mut after) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffer = Vec::new();
    for piece in pieces {
        let from = buffer.len();
        buffer.extend_from_slice(piece);
        let mut taken = 0;
        if !messages.ended() {
            taken = messages.find(piece, from, &mut places, &mut others)?;
        }
        after.extend_from_slice(&piece[taken..]);
    }
    let (mut rows, mut behind) = (Vec::new(), 0);
    for place in places {
        let (Rows::Messages(range) | Rows::Bytes(range)) = &place;
        assert!(range.start >= behind && !range.is_empty(), "{range:?}");
        behind = range.end;
        let mut bytes = &buffer[range.clone()];
        if let Rows::Bytes(_) = place {
            rows.extend_from_slice(bytes);
            continue;
        }
        while let [b'd', a, b, c, d, rest @ ..] = bytes {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
            rows.extend_from_slice(&rest[..length]);
            bytes = &rest[length..];
        }
        assert!(bytes.is_empty());
    }
    Ok((rows, others, after))
}

/// One message after the other, as a reader does that always has all of it.
fn plainly(mut bytes: &[u8]) -> Read {
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    let (mut begun, mut over, mut ended) = (false, false, false);
    while !ended && bytes.len() >= 5 {
        let kind = bytes[0];
        let length = i32::from_be_bytes(bytes[1..5].try_into().unwrap());
        let Some(length) = usize::try_from(length).ok().filter(|&length| length >= 4) else {
            return Err(MessageError::Unexpected);
        };
        let flowing = begun && !over;
        match kind {
            b'd' if !flowing => return Err(MessageError::Unexpected),
            b'd' if length - 4 > ROW => return Err(MessageError::RowTooLong),
            b'd' => {}
            b'c' if !flowing => return Err(MessageError::Unexpected),
            b'H' if flowing => return Err(MessageError::Unexpected),
            b'D' if !over => return Err(MessageError::Unexpected),
            _ if !b"123cCDEHNSAZ".contains(&kind) => return Err(MessageError::Unexpected),
            _ if length - 4 > OTHER => return Err(MessageError::Unexpected),
            _ => {}
        }
        let end = (1 + length).min(bytes.len());
        if kind == b'd' {
            rows.extend_from_slice(&bytes[5..end]);
        } else if end == 1 + length {
            begun |= kind == b'H' && !over;
            over |= kind == b'c' || kind == b'E';
            ended = kind == b'Z';
            others.push(Message {
                kind,
                body: bytes[5..end].to_vec(),
            });
        }
        bytes = &bytes[end..];
    }
    Ok((
        rows,
        others,
        if ended { bytes.to_vec() } else { Vec::new() },
    ))
}

fn cut<'a>(bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = (*sizes.next().unwrap_or(&1)).clamp(1, rest.len().max(1));
        (!rest.is_empty()).then(|| {
            let (piece, after) = rest.split_at(size);
            rest = after;
            piece
        })
    })
}

#[test]
fn a_whole_copy() {
    let notice = message(b'N', b"SLOG\0\0");
    let rows: Vec<Vec<u8>> = (1..40u8).map(|n| vec![n; n.into()]).collect();
    let mut bytes = [notice.clone(), message(b'H', b"\x01\0\0")].concat();
    for row in &rows {
        bytes.extend(message(b'd', row));
        bytes.extend(&notice);
    }
    for (kind, body) in [
        (b'c', &b""[..]),
        (b'C', b"COPY 39\0"),
        (b'2', b""),
        (b'D', b"asked behind"),
        (b'C', b"SELECT 1\0"),
        (b'Z', b"T"),
    ] {
        bytes.extend(message(kind, body));
    }
    bytes.extend(b"more");
    for size in 1..60 {
        let (read, others, after) = read(cut(&bytes, &[size])).unwrap();
        assert_eq!(read, rows.concat());
        assert_eq!(found(cut(&bytes, &[size])).unwrap().0, read);
        assert_eq!(after, b"more");
        let kinds: Vec<u8> = others.iter().map(|other| other.kind).collect();
        assert_eq!(kinds, [&b"NH"[..], &b"N".repeat(39), b"cC2DCZ"].concat());
    }
}

#[test]
fn rows_have_their_place_and_their_length() {
    let begun = message(b'H', b"\x01\0\0");
    let row = message(b'd', b"row");
    let long = message(b'd', &[0; ROW + 1]);
    let cases = [
        (row.clone(), MessageError::Unexpected),
        (
            [&begun[..], &message(b'c', b""), &row].concat(),
            MessageError::Unexpected,
        ),
        (
            [&begun[..], &message(b'E', b"\0"), &row].concat(),
            MessageError::Unexpected,
        ),
        ([&begun[..], &begun[..]].concat(), MessageError::Unexpected),
        (message(b'c', b""), MessageError::Unexpected),
        (
            [&begun[..], b"d\0\0\0\x03"].concat(),
            MessageError::Unexpected,
        ),
        (
            [&begun[..], b"d\xff\xff\xff\xff"].concat(),
            MessageError::Unexpected,
        ),
        (message(b'D', b"row"), MessageError::Unexpected),
        (
            [&begun[..], &message(b'D', b"row")].concat(),
            MessageError::Unexpected,
        ),
        (message(b'N', &[0; OTHER + 1]), MessageError::Unexpected),
        ([&begun[..], &long].concat(), MessageError::RowTooLong),
        // Before a byte of it has come.
        ([&begun[..], &long[..5]].concat(), MessageError::RowTooLong),
    ];
    for (bytes, error) in cases {
        for size in 1..9 {
            assert_eq!(read(cut(&bytes, &[size])), Err(error), "{bytes:?}");
        }
    }
    assert!(read([&begun[..], &message(b'd', &[0; ROW])]).is_ok());
}

proptest! {
    #[test]
    fn any_messages_cut_anywhere(
        given in prop::collection::vec(
            (prop::sample::select(b"HdddddNSAEcCZDD123T".to_vec()), prop::collection::vec(any::<u8>(), 0..30)),
            0..20,
        ),
        begun in any::<bool>(),
        sizes in prop::collection::vec(1usize..40, 1..6),
        less in 0usize..8,
    ) {
        let mut bytes = if begun { message(b'H', b"\x01\0\0") } else { Vec::new() };
        for (kind, body) in &given {
            bytes.extend(message(*kind, body));
        }
        bytes.truncate(bytes.len().saturating_sub(less));
        prop_assert_eq!(read(cut(&bytes, &sizes)), plainly(&bytes));
        prop_assert_eq!(found(cut(&bytes, &sizes)), plainly(&bytes));
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), sizes in prop::collection::vec(1usize..40, 1..6)) {
        let with = [message(b'H', b"\x01\0\0"), bytes].concat();
        let got = read(cut(&with, &sizes));
        // However far a cut lets the reader see, it sees the same.
        prop_assert_eq!(got, plainly(&with));
        prop_assert_eq!(found(cut(&with, &sizes)), plainly(&with));
    }
}
