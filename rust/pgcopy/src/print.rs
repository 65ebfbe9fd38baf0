//! Types without an Arrow form of their own, printed as their PostgreSQL output functions print them.

use crate::error::Fault;
use crate::reader::Reader;

const DAY_US: i64 = 86_400_000_000;
/// `PGSQL_AF_INET` and `PGSQL_AF_INET6`.
const FAMILY_4: u8 = 2;
const FAMILY_6: u8 = 3;
const HEX: &[u8; 16] = b"0123456789abcdef";

fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn two(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (value / 10 % 10) as u8, b'0' + (value % 10) as u8]);
}

fn hex_byte(byte: u8, out: &mut Vec<u8>) {
    for nibble in [byte >> 4, byte & 15] {
        out.extend(HEX.get(usize::from(nibble)));
    }
}

fn exactly<const N: usize>(cell: &[u8]) -> Result<[u8; N], Fault> {
    cell.try_into().map_err(|_| Fault::Size)
}

/// `oidout`.
pub(crate) fn oid(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    number(u32::from_be_bytes(exactly(cell)?), out);
    Ok(())
}

/// `jsonb_send`'s version byte is checked, the text behind it kept.
pub(crate) fn jsonb(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    match cell.split_first() {
        Some((1, text)) => {
            out.extend_from_slice(text);
            Ok(())
        }
        _ => Err(Fault::Content),
    }
}

/// `timetz_out`: the zone travels as seconds west of Greenwich and is printed as hours east.
pub(crate) fn timetz(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(cell);
    let (Some(time), Some(west)) = (reader.take_array(), reader.i32()) else {
        return Err(Fault::Size);
    };
    let (time, west) = (i64::from_be_bytes(time), i64::from(west));
    if !reader.is_empty() {
        return Err(Fault::Size);
    }
    if !(0..=DAY_US).contains(&time) || west.abs() >= 86_400 {
        return Err(Fault::Content);
    }
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    two(seconds / 3600, out);
    out.push(b':');
    two(seconds / 60 % 60, out);
    out.push(b':');
    two(seconds % 60, out);
    if fraction != 0 {
        out.push(b'.');
        two(fraction / 10_000, out);
        two(fraction / 100 % 100, out);
        two(fraction % 100, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(if west <= 0 { b'+' } else { b'-' });
    let zone = west.abs();
    two(zone / 3600, out);
    if zone % 3600 != 0 {
        out.push(b':');
        two(zone / 60 % 60, out);
        if zone % 60 != 0 {
            out.push(b':');
            two(zone % 60, out);
        }
    }
    Ok(())
}

/// `macaddr_out` and `macaddr8_out`: `N` bytes in lower-case hexadecimal.
pub(crate) fn macaddr<const N: usize>(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes: [u8; N] = exactly(cell)?;
    for (i, byte) in bytes.into_iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        hex_byte(byte, out);
    }
    Ok(())
}

/// `bit_out`: a length in bits, then the bits, most significant first.
pub(crate) fn bits(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(cell);
    let length = usize::try_from(reader.i32().ok_or(Fault::Size)?).map_err(|_| Fault::Content)?;
    let bytes = reader.rest();
    if bytes.len() != length.div_ceil(8) {
        return Err(Fault::Size);
    }
    if length > crate::column::PRINTED_LIMIT {
        return Err(Fault::Length);
    }
    let one_by_one = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| b'0' + (byte >> bit & 1)));
    out.extend(one_by_one.take(length));
    Ok(())
}

/// `inet_out` and `cidr_out`.
pub(crate) fn network(cell: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut reader = Reader::new(cell);
    let [family, prefix, is_cidr, length] = reader.take_array().ok_or(Fault::Size)?;
    let widest = match (family, length, is_cidr) {
        (FAMILY_4, 4, 0 | 1) => {
            quad(reader.take_array().ok_or(Fault::Size)?, out);
            32
        }
        (FAMILY_6, 16, 0 | 1) => {
            groups(reader.take_array().ok_or(Fault::Size)?, out);
            128
        }
        _ => return Err(Fault::Content),
    };
    if !reader.is_empty() {
        return Err(Fault::Size);
    }
    if prefix > widest {
        return Err(Fault::Content);
    }
    if is_cidr == 1 || prefix != widest {
        out.push(b'/');
        number(prefix, out);
    }
    Ok(())
}

fn quad(bytes: [u8; 4], out: &mut Vec<u8>) {
    for (i, byte) in bytes.into_iter().enumerate() {
        if i > 0 {
            out.push(b'.');
        }
        number(byte, out);
    }
}

/// An IPv6 address as PostgreSQL's `inet_net_ntop_ipv6`: the first longest run of two or more zero
/// groups becomes `::`, and addresses that embed IPv4 end in dotted decimals.
fn groups(bytes: [u8; 16], out: &mut Vec<u8>) {
    let mut words = [0_u16; 8];
    for (word, pair) in words.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *word = u16::from_be_bytes(*pair);
    }
    let (mut best_at, mut best_length, mut length) = (0, 1, 0);
    for (i, word) in words.iter().enumerate() {
        length = if *word == 0 { length + 1 } else { 0 };
        if length > best_length {
            (best_at, best_length) = (i + 1 - length, length);
        }
    }
    if best_length < 2 {
        // No run: one that no group can be in.
        (best_at, best_length) = (words.len() + 1, 0);
    }
    let end = best_at + best_length;
    let [.., a, b, c, d] = bytes;
    let embeds =
        best_at == 0 && (best_length == 6 || (best_length == 5 && words.get(5) == Some(&0xffff)));
    for (i, word) in words.iter().enumerate() {
        if (best_at..end).contains(&i) {
            if i == best_at {
                out.push(b':');
            }
            continue;
        }
        if i != 0 {
            out.push(b':');
        }
        if i == 6 && embeds {
            quad([a, b, c, d], out);
            return;
        }
        hex_word(*word, out);
    }
    if end == words.len() {
        out.push(b':');
    }
}

fn hex_word(word: u16, out: &mut Vec<u8>) {
    let digits = (16 - word.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.extend(HEX.get(usize::from(word >> (4 * place) & 15)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(f: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), Fault>, cell: &[u8]) -> String {
        let mut out = Vec::new();
        f(cell, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn six(address: &str, prefix: u8, is_cidr: u8) -> String {
        let address: std::net::Ipv6Addr = address.parse().unwrap();
        let mut cell = vec![FAMILY_6, prefix, is_cidr, 16];
        cell.extend(address.octets());
        said(network, &cell)
    }

    #[test]
    fn addresses() {
        assert_eq!(said(network, &[2, 32, 0, 4, 10, 0, 0, 1]), "10.0.0.1");
        assert_eq!(said(network, &[2, 8, 0, 4, 10, 0, 0, 1]), "10.0.0.1/8");
        assert_eq!(said(network, &[2, 32, 1, 4, 10, 0, 0, 1]), "10.0.0.1/32");
        assert_eq!(six("::", 128, 0), "::");
        assert_eq!(six("::1", 128, 0), "::1");
        assert_eq!(six("::ffff:1.2.3.4", 128, 0), "::ffff:1.2.3.4");
        assert_eq!(six("::1.2.3.4", 128, 0), "::1.2.3.4");
        assert_eq!(six("2001:db8::", 32, 1), "2001:db8::/32");
        assert_eq!(six("1:0:0:2:0:0:0:3", 64, 0), "1:0:0:2::3/64");
        assert_eq!(six("1:0:2:3:4:5:6:7", 128, 0), "1:0:2:3:4:5:6:7");
        assert_eq!(six("1::", 128, 0), "1::");
    }

    #[test]
    fn addresses_that_are_none() {
        for cell in [
            &[][..],
            &[2, 33, 0, 4, 1, 2, 3, 4],
            &[2, 32, 0, 16, 1, 2, 3, 4],
            &[2, 32, 0, 4, 1, 2, 3],
            &[2, 32, 2, 4, 1, 2, 3, 4],
            &[2, 32, 0, 4, 1, 2, 3, 4, 5],
            &[9, 32, 0, 4, 1, 2, 3, 4],
        ] {
            assert!(network(cell, &mut Vec::new()).is_err(), "{cell:?}");
        }
    }

    #[test]
    fn the_rest() {
        let zoned = |us: i64, west: i32| {
            let mut cell = us.to_be_bytes().to_vec();
            cell.extend(west.to_be_bytes());
            said(timetz, &cell)
        };
        assert_eq!(zoned(0, 0), "00:00:00+00");
        assert_eq!(zoned(DAY_US, -3600), "24:00:00+01");
        assert_eq!(zoned(3_723_120_000, 19_800), "01:02:03.12-05:30");
        assert_eq!(zoned(1, -45_296), "00:00:00.000001+12:34:56");
        assert_eq!(
            said(macaddr::<6>, &[8, 0, 0x2b, 1, 2, 0xff]),
            "08:00:2b:01:02:ff"
        );
        assert_eq!(
            said(bits, &[0, 0, 0, 10, 0b1010_0000, 0b1100_0000]),
            "1010000011"
        );
        assert_eq!(said(bits, &[0, 0, 0, 0]), "");
        assert_eq!(said(oid, &[0xff; 4]), "4294967295");
        assert_eq!(said(jsonb, b"\x01{}"), "{}");
        assert_eq!(jsonb(b"\x02{}", &mut Vec::new()), Err(Fault::Content));
        assert_eq!(jsonb(b"", &mut Vec::new()), Err(Fault::Content));
        assert_eq!(bits(&[0, 0, 0, 9, 1], &mut Vec::new()), Err(Fault::Size));
        assert_eq!(timetz(&[0; 13], &mut Vec::new()), Err(Fault::Size));
    }
}
