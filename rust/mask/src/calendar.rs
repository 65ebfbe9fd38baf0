//! The year of a count of days, in the proleptic Gregorian calendar, for every day Arrow can hold.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::MaskError;

/// Days from 0000-03-01 to 1970-01-01.
const TO_UNIX: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

/// The astronomical year (0 is 1 BC) of a day counted from 1970-01-01.
pub(crate) fn year_of_day(days: i64) -> i64 {
    // Years start in March here, so that the leap day is the last of its year.
    let shifted = days.saturating_add(TO_UNIX);
    let era = shifted.div_euclid(DAYS_OF_400_YEARS);
    let day = shifted.rem_euclid(DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_january = i64::from(day_of_year >= 306);
    era.saturating_mul(400)
        .saturating_add(year)
        .saturating_add(from_january)
}

/// This year in UTC.
pub(crate) fn current_year() -> Result<i64, MaskError> {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|_| MaskError::Clock)?;
    let days = i64::try_from(since.as_secs() / 86_400).map_err(|_| MaskError::Clock)?;
    Ok(year_of_day(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_day_of_every_year() {
        let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
        let mut day = 0;
        for year in 1970..12_000 {
            assert_eq!(year_of_day(day), year);
            day += if leap(year) { 366 } else { 365 };
            assert_eq!(year_of_day(day - 1), year);
        }
        let mut day = 0;
        for year in (-5_000..1970).rev() {
            day -= if leap(year) { 366 } else { 365 };
            assert_eq!(year_of_day(day), year);
        }
    }

    #[test]
    fn the_ends_of_the_types() {
        assert_eq!(year_of_day(i64::from(i32::MAX)), 5_881_580);
        assert_eq!(year_of_day(i64::from(i32::MIN)), -5_877_641);
        assert!(year_of_day(i64::MIN) < 0);
        assert!(year_of_day(i64::MAX) > 0);
    }
}
