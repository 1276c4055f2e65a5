//! The words of a source, whatever they stand for there: who only looks whether a name occurs need not
//! parse.

/// The words of a text, also those within strings and comments.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_of_word(c))
}

/// Whether names may have this character.
pub fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
