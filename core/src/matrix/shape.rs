//! How sizes are written in messages.

/// `(5, 3)`, `(8,)`: as Rust writes tuples and numpy shapes.
pub(super) fn shape_text(sizes: &[usize]) -> String {
    match sizes {
        [one] => format!("({one},)"),
        sizes => {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shape_text;

    #[test]
    fn sizes_are_written_like_tuples() {
        assert_eq!(shape_text(&[8]), "(8,)");
        assert_eq!(shape_text(&[5, 3]), format!("{:?}", (5, 3)));
        assert_eq!(shape_text(&[2, 5, 3]), format!("{:?}", (2, 5, 3)));
    }
}
