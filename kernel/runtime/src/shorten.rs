//! Large values as text: their beginning, and how large they are.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, LinkedList, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Beyond so many characters, text is shortened. About five pages of a notebook.
static LIMIT: AtomicUsize = AtomicUsize::new(10_000);

/// From now on, values are shown with at most so many characters, beside the note of their size. 0
/// shows all of them.
pub fn set_value_limit(characters: usize) {
    LIMIT.store(characters, Ordering::Relaxed);
}

/// Formats a value, no further than the limit. `elements` is how many it has, if it has such.
pub(crate) fn shortened(args: std::fmt::Arguments<'_>, elements: Option<usize>) -> String {
    let limit = LIMIT.load(Ordering::Relaxed);
    let mut beginning = Beginning {
        text: String::new(),
        left: if limit == 0 { usize::MAX } else { limit },
        characters: 0,
    };
    // Only an implementation of `Debug` fails, and what it wrote until then is worth showing.
    let _ = beginning.write_fmt(args);
    if beginning.left > 0 || beginning.characters == limit {
        return beginning.text;
    }
    let elements = elements.map_or_else(String::new, |n| format!("{} elements, ", grouped(n)));
    let characters = grouped(beginning.characters);
    format!(
        "{} … (shortened: {elements}{characters} characters in all)",
        beginning.text
    )
}

/// Keeps the beginning of what is written, and counts the rest.
struct Beginning {
    text: String,
    left: usize,
    characters: usize,
}

impl Write for Beginning {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let characters = text.chars().count();
        self.characters += characters;
        if characters <= self.left {
            self.text.push_str(text);
            self.left -= characters;
        } else {
            self.text.extend(text.chars().take(self.left));
            self.left = 0;
        }
        Ok(())
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// What has a number of elements.
#[doc(hidden)]
pub trait Elements {
    /// The number.
    fn elements(&self) -> usize;
}

macro_rules! has_elements {
    ($([$($generics:tt)*] $name:ty;)*) => {
        $(impl<$($generics)*> Elements for $name {
            fn elements(&self) -> usize {
                self.len()
            }
        })*
    };
}

has_elements! {
    [T] [T];
    [T, const N: usize] [T; N];
    [T] Vec<T>;
    [T] VecDeque<T>;
    [T] LinkedList<T>;
    [T] BinaryHeap<T>;
    [T] BTreeSet<T>;
    [T, S] HashSet<T, S>;
    [K, V] BTreeMap<K, V>;
    [K, V, S] HashMap<K, V, S>;
}

impl<T: Elements + ?Sized> Elements for &T {
    fn elements(&self) -> usize {
        (**self).elements()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_longer_than_the_limit_is_shortened() {
        let of = |length: usize| shortened(format_args!("{}", "é".repeat(length)), Some(1234));
        assert_eq!(of(10_000), "é".repeat(10_000));
        let shortened = of(10_001);
        let note = " … (shortened: 1,234 elements, 10,001 characters in all)";
        assert_eq!(shortened, "é".repeat(10_000) + note);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
