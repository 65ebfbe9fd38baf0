//! `token`: a keyed BLAKE3 pseudonym, `tok_<key id>_<26 characters>`.
//!
//! The key of a domain is BLAKE3 in keyed mode, under the 32-byte token key, of a context with the
//! domain's and the key id's lengths before them. A token is BLAKE3 under the domain's key of the
//! value's canonical bytes, its first 130 bits in lower-case base32 (RFC 4648, no padding).
//!
//! Canonical bytes are one tag and the value, whatever Arrow layout carries it:
//!
//! | value | tag | bytes |
//! |---|---|---|
//! | text in every layout, enum labels | `t` | UTF-8 |
//! | json | `j` | UTF-8 as PostgreSQL wrote it |
//! | boolean | `b` | 0 or 1 |
//! | integers of every width | `i` | 64 bits, little-endian |
//! | floats of both widths | `f` | as float64, little-endian; one zero, one NaN |
//! | decimal | `d` | mantissa without trailing zeros (128 bits, little-endian), scale |
//! | binary, fixed binary | `x` | the bytes |
//! | date | `D` | days |
//! | time of day | `T` | nanoseconds |
//! | timestamp, timestamptz | `S`, `Z` | seconds, nanoseconds within |
//! | interval | `I` | months, days, nanoseconds |
//!
//! Equal values of one domain have equal tokens: that is the use of it, and it is why a token is not
//! Safe Harbor de-identification by itself.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow_schema::{DataType, IntervalUnit, TimeUnit};

use crate::MaskError;
use crate::block::{Blocks, GIVEN, LANES, words};
use crate::dictionary::{self, is_enum};
use crate::text::{TextBuilder, for_each_text, is_string};

/// Characters of base32 in a token: 130 bits.
const LENGTH: usize = 26;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const CONTEXT: &[u8] = b"maskgate token 1";

/// The key of a treatment's domain: BLAKE3 keyed with the token key, of the treatment's context and of
/// domain and key id with their lengths. Refuses a domain without a name and odd key ids.
pub(crate) fn domain_key(
    column: &str,
    treatment: &str,
    context: &[u8],
    token_key: &[u8; 32],
    domain: &str,
    key_id: &str,
) -> Result<[u8; 32], MaskError> {
    let option = |detail: String| MaskError::Option {
        column: column.to_owned(),
        detail,
    };
    if domain.is_empty() {
        return Err(option(format!("{treatment} needs a domain")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if key_id.is_empty() || key_id.len() > 32 || !key_id.chars().all(plain) {
        return Err(option(format!(
            "{treatment}'s key_id must be 1 to 32 letters, digits, dots, dashes or underscores"
        )));
    }
    let mut hasher = blake3::Hasher::new_keyed(token_key);
    hasher.update(context);
    for part in [domain, key_id] {
        let length = u64::try_from(part.len()).map_err(|_| MaskError::TooLarge)?;
        hasher.update(&length.to_le_bytes());
        hasher.update(part.as_bytes());
    }
    Ok(*hasher.finalize().as_bytes())
}

/// The key of one domain and the text before every token.
pub(crate) struct Token {
    key: [u8; 32],
    key_words: [u32; 8],
    prefix: Vec<u8>,
    /// The prefix and the place of what follows it.
    place: Vec<u8>,
    json: bool,
    /// The canonical bytes of the value at hand; kept to be used again.
    canonical: Vec<u8>,
    waiting: Box<Waiting>,
}

/// Short values whose tokens have their places and are not written yet.
#[derive(Default)]
struct Waiting {
    blocks: Blocks,
    places: [usize; LANES],
    count: usize,
}

impl Token {
    /// `json` says that the column's text is JSON.
    pub(crate) fn new(
        column: &str,
        token_key: &[u8; 32],
        domain: &str,
        key_id: &str,
        json: bool,
    ) -> Result<Self, MaskError> {
        let key = domain_key(column, "token", CONTEXT, token_key, domain, key_id)?;
        let prefix = format!("tok_{key_id}_").into_bytes();
        Ok(Self {
            key,
            key_words: words(&key),
            place: [&prefix[..], &[0; LENGTH]].concat(),
            prefix,
            json,
            canonical: Vec::new(),
            waiting: Box::default(),
        })
    }

    /// Whether the type has canonical bytes.
    pub(crate) fn takes(data_type: &DataType) -> bool {
        is_string(data_type)
            || is_enum(data_type)
            || matches!(
                data_type,
                DataType::Boolean
                    | DataType::Int16
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Float32
                    | DataType::Float64
                    | DataType::Decimal128(_, _)
                    | DataType::Binary
                    | DataType::LargeBinary
                    | DataType::BinaryView
                    | DataType::FixedSizeBinary(_)
                    | DataType::Date32
                    | DataType::Date64
                    | DataType::Time64(TimeUnit::Microsecond)
                    | DataType::Timestamp(TimeUnit::Microsecond, _)
                    | DataType::Interval(IntervalUnit::MonthDayNano)
            )
    }

    /// Values to tokens, and how many were not NULL.
    pub(crate) fn mask(&mut self, array: &ArrayRef) -> Result<(ArrayRef, u64), MaskError> {
        if is_enum(array.data_type()) {
            let mut cells = 0u64;
            let out = dictionary::flatten(array, &mut |value, uses, out| {
                cells += uses;
                self.write(b't', value.as_bytes(), out);
                Ok(())
            })?;
            return Ok((out, cells));
        }
        // An error may have left some of another batch.
        *self.waiting = Waiting::default();
        let rows = array.len();
        let mut out = TextBuilder::new(rows, rows.saturating_mul(self.prefix.len() + LENGTH));
        let tag = if self.json { b'j' } else { b't' };
        match array.data_type() {
            text if is_string(text) => for_each_text(array, |value| {
                if let Some(value) = value {
                    self.push(tag, value.as_bytes(), out.bytes())?;
                }
                out.end_row()
            })?,
            DataType::Boolean => {
                let values = array.as_boolean().iter().map(|v| v.map(|v| [u8::from(v)]));
                self.column(b'b', values, &mut out)?;
            }
            DataType::Int16 => self.integers::<Int16Type>(b'i', array, &mut out)?,
            DataType::Int32 => self.integers::<Int32Type>(b'i', array, &mut out)?,
            DataType::Int64 => self.integers::<Int64Type>(b'i', array, &mut out)?,
            DataType::Date32 => self.integers::<Date32Type>(b'D', array, &mut out)?,
            DataType::Date64 => {
                let days = array.as_primitive::<Date64Type>().iter();
                let days = days.map(|ms| ms.map(|ms| ms.div_euclid(86_400_000).to_le_bytes()));
                self.column(b'D', days, &mut out)?;
            }
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>().iter();
                let values = values.map(|v| v.map(|v| one_float(f64::from(v))));
                self.column(b'f', values, &mut out)?;
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>().iter();
                self.column(b'f', values.map(|v| v.map(one_float)), &mut out)?;
            }
            DataType::Decimal128(_, scale) => {
                let values = array.as_primitive::<Decimal128Type>().iter();
                let values = values.map(|v| v.map(|v| one_decimal(v, *scale)));
                self.column(b'd', values, &mut out)?;
            }
            DataType::Binary => {
                self.column(b'x', array.as_binary::<i32>().iter(), &mut out)?;
            }
            DataType::LargeBinary => {
                self.column(b'x', array.as_binary::<i64>().iter(), &mut out)?;
            }
            DataType::BinaryView => {
                self.column(b'x', array.as_binary_view().iter(), &mut out)?;
            }
            DataType::FixedSizeBinary(_) => {
                self.column(b'x', array.as_fixed_size_binary().iter(), &mut out)?;
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                let values = array.as_primitive::<Time64MicrosecondType>().iter();
                let nanoseconds = values.map(|v| v.map(|v| v.wrapping_mul(1_000).to_le_bytes()));
                self.column(b'T', nanoseconds, &mut out)?;
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let tag = if zone.is_some() { b'Z' } else { b'S' };
                let values = array.as_primitive::<TimestampMicrosecondType>().iter();
                self.column(
                    tag,
                    values.map(|v| v.map(seconds_and_nanoseconds)),
                    &mut out,
                )?;
            }
            DataType::Interval(IntervalUnit::MonthDayNano) => {
                let values = array.as_primitive::<IntervalMonthDayNanoType>().iter();
                let values = values.map(|v| {
                    v.map(|v| {
                        let mut bytes = [0u8; 16];
                        let parts = v.months.to_le_bytes().into_iter();
                        let parts = parts.chain(v.days.to_le_bytes());
                        let parts = parts.chain(v.nanoseconds.to_le_bytes());
                        bytes
                            .iter_mut()
                            .zip(parts)
                            .for_each(|(to, from)| *to = from);
                        bytes
                    })
                });
                self.column(b'I', values, &mut out)?;
            }
            _ => return Err(MaskError::Inconsistent("a type without canonical bytes")),
        }
        self.write_waiting(out.bytes())?;
        let cells = rows.saturating_sub(array.null_count());
        let cells = u64::try_from(cells).map_err(|_| MaskError::TooLarge)?;
        Ok((out.finish(array.nulls())?, cells))
    }

    fn integers<T>(
        &mut self,
        tag: u8,
        array: &ArrayRef,
        out: &mut TextBuilder,
    ) -> Result<(), MaskError>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<i64>,
    {
        let values = array.as_primitive::<T>().iter();
        self.column(tag, values.map(|v| v.map(|v| v.into().to_le_bytes())), out)
    }

    fn column<V: AsRef<[u8]>>(
        &mut self,
        tag: u8,
        values: impl Iterator<Item = Option<V>>,
        out: &mut TextBuilder,
    ) -> Result<(), MaskError> {
        for value in values {
            if let Some(value) = value {
                self.push(tag, value.as_ref(), out.bytes())?;
            }
            out.end_row()?;
        }
        Ok(())
    }

    /// Appends the value's token. Short values only take their places, until there are enough to be
    /// hashed together; [`Token::write_waiting`] ends that.
    #[inline]
    fn push(&mut self, tag: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), MaskError> {
        let waiting = &mut self.waiting;
        if !waiting.blocks.put(waiting.count, tag, value) {
            self.write(tag, value, out);
            return Ok(());
        }
        let place = waiting.places.get_mut(waiting.count);
        *place.ok_or(MaskError::Inconsistent("a lane too many"))? = out.len() + self.prefix.len();
        out.extend_from_slice(&self.place);
        waiting.count += 1;
        match waiting.count < LANES {
            true => Ok(()),
            false => self.write_waiting(out),
        }
    }

    /// Writes the tokens that have their places.
    fn write_waiting(&mut self, out: &mut [u8]) -> Result<(), MaskError> {
        let Waiting {
            blocks,
            places,
            count,
        } = &mut *self.waiting;
        if *count == 0 {
            return Ok(());
        }
        let [a, b, c, d, e] = blocks.hash(&self.key_words);
        let hashes = a.iter().zip(b).zip(c).zip(d).zip(e);
        for (place, ((((a, b), c), d), e)) in places.iter().zip(hashes).take(*count) {
            let text = out.get_mut(*place..).and_then(<[u8]>::first_chunk_mut);
            let text = text.ok_or(MaskError::Inconsistent("a token without a place"))?;
            *text = base32([*a, b, c, d, e]);
        }
        *count = 0;
        Ok(())
    }

    /// Appends the token of one value.
    fn write(&mut self, tag: u8, value: &[u8], out: &mut Vec<u8>) {
        self.canonical.clear();
        self.canonical.push(tag);
        self.canonical.extend_from_slice(value);
        let hash = blake3::keyed_hash(&self.key, &self.canonical);
        let [a, b, c, d, e, ..] = words(hash.as_bytes());
        out.extend_from_slice(&self.prefix);
        out.extend_from_slice(&base32([a, b, c, d, e]));
    }
}

/// Two characters for each ten bits.
const PAIRS: [[u8; 2]; 1024] = pairs();

#[allow(clippy::indexing_slicing)] // evaluated by the compiler: out of bounds would not compile
const fn pairs() -> [[u8; 2]; 1024] {
    let mut pairs = [[0; 2]; 1024];
    let mut i = 0;
    while i < 1024 {
        pairs[i] = [ALPHABET[i >> 5], ALPHABET[i & 31]];
        i += 1;
    }
    pairs
}

/// The first 130 bits of a hash, ten at a time from the most significant; its words are
/// little-endian.
fn base32(hash: [u32; GIVEN]) -> [u8; LENGTH] {
    let [a, b, c, d, e] = hash.map(u32::swap_bytes);
    let first = [a, b, c, d]
        .into_iter()
        .fold(0, |all, word| all << 32 | u128::from(word));
    let last = e >> 30;
    let mut text = [0u8; LENGTH];
    for (pair, place) in text.chunks_exact_mut(2).zip(0u32..) {
        // 128 bits hold twelve pairs and eight bits; the thirteenth borrows two of the next byte.
        let bits = match 118u32.checked_sub(10 * place) {
            Some(shift) => u32::try_from((first >> shift) & 1023).unwrap_or(0),
            None => (u32::try_from(first & 255).unwrap_or(0) << 2) | last,
        };
        let index = usize::try_from(bits).unwrap_or(0);
        pair.copy_from_slice(PAIRS.get(index).unwrap_or(b"aa"));
    }
    text
}

fn one_float(value: f64) -> [u8; 8] {
    let value = if value == 0.0 { 0.0 } else { value };
    let value = if value.is_nan() { f64::NAN } else { value };
    value.to_bits().to_le_bytes()
}

fn one_decimal(value: i128, scale: i8) -> [u8; 17] {
    let (mut mantissa, mut scale) = (value, scale);
    while mantissa % 10 == 0 && mantissa != 0 && scale > i8::MIN {
        mantissa /= 10;
        scale -= 1;
    }
    if mantissa == 0 {
        scale = 0;
    }
    let mut bytes = [0u8; 17];
    let parts = mantissa
        .to_le_bytes()
        .into_iter()
        .chain(scale.to_le_bytes());
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    bytes
}

fn seconds_and_nanoseconds(microseconds: i64) -> [u8; 16] {
    let seconds = microseconds.div_euclid(1_000_000);
    let nanoseconds = microseconds.rem_euclid(1_000_000) * 1_000;
    let mut bytes = [0u8; 16];
    let parts = seconds
        .to_le_bytes()
        .into_iter()
        .chain(nanoseconds.to_le_bytes());
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{BinaryArray, StringArray};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn token() -> Token {
        Token::new("c", &[9; 32], "patients", "k1", false).unwrap()
    }

    /// What one value alone becomes.
    fn alone(tag: u8, value: &[u8]) -> String {
        let mut out = Vec::new();
        token().write(tag, value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_form_is_that_of_the_crates_hash() {
        let key = token().key;
        let hash = blake3::keyed_hash(&key, b"tMRN 1");
        let bits: String = hash.as_bytes().iter().map(|b| format!("{b:08b}")).collect();
        let five = |i: usize| usize::from_str_radix(&bits[5 * i..5 * i + 5], 2).unwrap();
        let letters: String = (0..LENGTH).map(|i| char::from(ALPHABET[five(i)])).collect();
        assert_eq!(alone(b't', b"MRN 1"), format!("tok_k1_{letters}"));
    }

    proptest! {
        #[test]
        fn together_as_alone(
            batches in prop::collection::vec(
                prop::collection::vec(prop::option::weighted(0.9, ".{0,90}"), 0..40),
                1..4,
            ),
        ) {
            let mut token = token();
            for rows in batches {
                let array: ArrayRef = Arc::new(StringArray::from(rows.clone()));
                let (masked, cells) = token.mask(&array).unwrap();
                prop_assert_eq!(cells as usize, rows.iter().flatten().count());
                for (masked, row) in masked.as_string::<i32>().iter().zip(&rows) {
                    let expected = row.as_ref().map(|value| alone(b't', value.as_bytes()));
                    prop_assert_eq!(masked, expected.as_deref());
                }
                let bytes: BinaryArray = rows.iter().map(|r| r.as_ref().map(String::as_bytes)).collect();
                let array: ArrayRef = Arc::new(bytes);
                let (masked, _) = token.mask(&array).unwrap();
                for (masked, row) in masked.as_string::<i32>().iter().zip(&rows) {
                    let expected = row.as_ref().map(|value| alone(b'x', value.as_bytes()));
                    prop_assert_eq!(masked, expected.as_deref());
                }
            }
        }
    }
}
