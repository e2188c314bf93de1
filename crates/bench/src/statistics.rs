//! Numbers of many runs and streams → the few that are printed.

use std::time::Duration;

/// What is not exceeded by `percent` of the sorted values (nearest rank).
pub(crate) fn percentile<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
}

/// The middle one; of an even number the upper one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The exponent `b` of `cost = a * size^b`: least squares on the logarithms. Points that have no
/// logarithm are left out; `None` if fewer than two sizes are left.
pub(crate) fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let usable = points.iter().filter(|(size, cost)| *size > 0.0 && *cost > 0.0);
    let logarithms: Vec<(f64, f64)> = usable.map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = as_float(logarithms.len());
    let mean = |pick: fn(&(f64, f64)) -> f64| logarithms.iter().map(pick).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = logarithms.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let common: f64 = logarithms.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    (spread > 1e-9).then(|| common / spread)
}

/// Counts of a bench are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(crate) fn as_float(count: usize) -> f64 {
    count as f64
}

/// As [`as_float`].
pub(crate) fn from_count(count: u64) -> f64 {
    as_float(usize::try_from(count).unwrap_or(usize::MAX))
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<u32> = (1..=1_000).collect();
        assert_eq!(
            [0, 50, 99, 100].map(|percent| percentile(&values, percent)),
            [1, 500, 990, 1_000]
        );
        assert_eq!(percentile(&[7], 99), 7);
        assert_eq!(percentile::<u32>(&[], 50), 0);
    }

    #[test]
    fn the_median_is_one_of_the_values() {
        assert_eq!([vec![3.0, 1.0, 2.0], vec![4.0, 1.0], vec![]].map(median), [2.0, 4.0, 0.0]);
    }

    fn fit(cost: impl Fn(f64) -> f64) -> f64 {
        let points = [500.0, 1_000.0, 2_000.0, 4_000.0].map(|size| (size, cost(size)));
        exponent(&points).map(|value| (value * 100.0).round() / 100.0).unwrap()
    }

    #[test]
    fn the_exponent_tells_how_a_cost_grows() {
        assert_eq!(fit(|_| 7.0), 0.0);
        assert_eq!(fit(|size| 3.0 * size), 1.0);
        assert_eq!(fit(|size| 0.1 * size * size), 2.0);
        assert_eq!(fit(|size| 1_000.0 + size), 0.58, "a large constant hides what grows");
    }

    #[test]
    fn what_has_no_logarithm_is_left_out() {
        assert_eq!(exponent(&[(1.0, 0.0), (2.0, 5.0)]), None);
        assert_eq!(exponent(&[]), None);
        assert_eq!(exponent(&[(3.0, 1.0), (3.0, 2.0)]), None, "one size only");
    }
}
