//! Which detectors a scan asks: all of them, or those that a rule names.

use super::{KINDS, Kind};

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    pub(crate) const ALL: Self = Self((1 << KINDS) - 1);

    /// Those of a list.
    pub(crate) const fn of<const N: usize>(kinds: [Kind; N]) -> Self {
        let mut set = 0;
        let mut rest: &[Kind] = &kinds;
        while let [first, others @ ..] = rest {
            set |= 1 << first.index();
            rest = others;
        }
        Self(set)
    }

    /// With one more.
    pub(crate) fn with(self, kind: Kind) -> Self {
        Self(self.0 | Self::of([kind]).0)
    }

    /// Those of these names. Err names one that is none.
    pub(crate) fn named(names: &[String]) -> Result<Self, &str> {
        let mut set = Self(0);
        for name in names {
            let kind = Kind::nameable().find(|kind| kind.name() == name);
            set = set.with(kind.ok_or(name.as_str())?);
        }
        Ok(set)
    }

    #[inline(always)]
    pub(crate) fn hold(self, kind: Kind) -> bool {
        self.0 >> kind.index() & 1 != 0
    }

    /// Whether some kind is in both.
    pub(crate) fn meet(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// The triggers that somebody wants to be asked at; those of words are wanted by their word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(super) numbers: bool,
    pub(super) tokens: bool,
    pub(super) signs: bool,
    /// Words that may begin or end a name.
    pub(super) capitals: bool,
}

impl Wanted {
    pub(super) const ALL: Self = Self {
        numbers: true,
        tokens: true,
        signs: true,
        capitals: true,
    };

    /// By detectors of these kinds.
    pub(super) fn by(kinds: Kinds) -> Self {
        use Kind::{
            Address, Age, Card, Date, Dea, Device, Email, Iban, Id, Ip, Itin, Mac, Mbi, Name, Npi,
            Phone, Place, Ssn, Url, Vin, Zip,
        };
        Self {
            numbers: kinds.meet(Kinds::of([
                Age, Ssn, Itin, Npi, Phone, Card, Id, Zip, Date, Device,
            ])),
            tokens: kinds.meet(Kinds::of([Device, Mbi, Dea, Vin, Iban])),
            signs: kinds.meet(Kinds::of([Email, Ip, Mac, Url])),
            capitals: kinds.meet(Kinds::of([Name, Address, Place, Zip])),
        }
    }
}
