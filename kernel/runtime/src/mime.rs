//! What can be shown below a cell, and as which types of media.

use std::fmt::{Debug, Display};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::wire::Bundle;
use crate::{shorten, ways};

/// A value in one or more representations, of which a front end shows the richest that it knows.
///
/// ```
/// use morceaux::MimeBundle;
///
/// let both = MimeBundle::new()
///     .with("text/plain", "E = mc²")
///     .with("text/latex", "$E = mc^2$");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MimeBundle {
    representations: Bundle,
}

impl MimeBundle {
    /// Nothing yet, which is not shown.
    #[must_use]
    pub fn new() -> MimeBundle {
        MimeBundle::default()
    }

    /// Adds a representation. JSON types hold JSON; pictures other than SVG, base64.
    #[must_use]
    pub fn with(mut self, mime_type: impl Into<String>, content: impl Display) -> MimeBundle {
        let representation = (mime_type.into(), content.to_string());
        self.representations.push(representation);
        self
    }

    pub(crate) fn of(representations: Bundle) -> MimeBundle {
        MimeBundle { representations }
    }

    pub(crate) fn into_bundle(self) -> Bundle {
        self.representations
    }
}

/// How a value of your own type is shown, below a cell and by [`display`](crate::display()). It comes
/// before the type's `Debug`; a method `evcxr_display` of the type's own comes before both.
///
/// ```
/// use morceaux::{Html, MimeBundle, Show};
///
/// struct Temperature(f64);
///
/// impl Show for Temperature {
///     fn show(&self) -> MimeBundle {
///         Html(format!("<b>{} °C</b>", self.0)).show()
///     }
/// }
/// ```
pub trait Show {
    /// The value's representations; none to show nothing.
    fn show(&self) -> MimeBundle;
}

macro_rules! text_types {
    ($($(#[$doc:meta])* $name:ident: $mime_type:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $name<T>(pub T);

            impl<T: Display> Show for $name<T> {
                fn show(&self) -> MimeBundle {
                    MimeBundle::new().with($mime_type, &self.0)
                }
            }

            impl<T: Display> Shown for $name<T> {
                fn shown(&self) -> MimeBundle {
                    self.show()
                }
            }
        )*
    };
}

text_types! {
    /// Text as it is, without the quotes of `Debug`.
    Plain: "text/plain";
    /// HTML, shown as a page shows it.
    Html: "text/html";
    /// Markdown, shown as the notebook's own text cells are.
    Markdown: "text/markdown";
    /// LaTeX: `$x^2$`, or an environment such as `align`.
    Latex: "text/latex";
    /// An SVG picture.
    Svg: "image/svg+xml";
    /// JSON, shown as a tree: a `serde_json::Value`, or text that is JSON.
    Json: "application/json";
}

macro_rules! picture_types {
    ($($(#[$doc:meta])* $name:ident: $mime_type:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub struct $name<T>(pub T);

            impl<T: AsRef<[u8]>> Show for $name<T> {
                fn show(&self) -> MimeBundle {
                    MimeBundle::new().with($mime_type, STANDARD.encode(&self.0))
                }
            }

            impl<T: AsRef<[u8]>> Shown for $name<T> {
                fn shown(&self) -> MimeBundle {
                    self.show()
                }
            }
        )*
    };
}

picture_types! {
    /// A PNG picture, as the bytes of its file.
    Png: "image/png";
    /// A JPEG picture, as the bytes of its file.
    Jpeg: "image/jpeg";
    /// A GIF picture, as the bytes of its file.
    Gif: "image/gif";
}

impl Show for MimeBundle {
    fn show(&self) -> MimeBundle {
        self.clone()
    }
}

impl Shown for MimeBundle {
    fn shown(&self) -> MimeBundle {
        self.clone()
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self) -> MimeBundle {
        (**self).show()
    }
}

impl<T: Show + ?Sized> Show for Box<T> {
    fn show(&self) -> MimeBundle {
        (**self).show()
    }
}

/// What functions can show, which do not know the type that they are called with: everything that is
/// `Debug`, and the types of this crate. A type's own way to show itself is known once a value of it
/// has been shown by [`display`](crate::display()) where its type is known.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not `Debug`; to show it here all the same, wrap it: `&morceaux::shown!(value)`"
)]
pub trait Shown {
    /// The value's representations.
    fn shown(&self) -> MimeBundle;
}

// No type of this crate for which `Shown` is implemented may become `Debug`.
impl<T: Debug + ?Sized> Shown for T {
    fn shown(&self) -> MimeBundle {
        ways::of(self).unwrap_or_else(|| {
            MimeBundle::new().with(
                "text/plain",
                shorten::shortened(format_args!("{self:?}"), None),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_debug_is_shown_as_text() {
        let text = [1, 2].shown().into_bundle();
        assert_eq!(text, [("text/plain".to_owned(), "[1, 2]".to_owned())]);
    }

    #[test]
    fn pictures_are_shown_as_pictures() {
        let svg = Svg("<svg/>").show().into_bundle();
        assert_eq!(svg, [("image/svg+xml".to_owned(), "<svg/>".to_owned())]);
        let png = Png([0, 0xff]).show().into_bundle();
        assert_eq!(png, [("image/png".to_owned(), "AP8=".to_owned())]);
    }
}
