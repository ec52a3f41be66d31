//! Names of the library in messages, as Python knows them.

/// A message with every `Type::function` written for Python: `Type.function` where the package has it
/// (`knows`), and words otherwise.
pub fn in_python(message: &str, knows: impl Fn(&str, &str) -> bool) -> String {
    let mut out = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find("::") {
        let before = &rest[..at];
        let start = before.trim_end_matches(is_name).len();
        let end = at + 2 + name_length(&rest[at + 2..]);
        let (class, function) = (&rest[start..at], &rest[at + 2..end]);
        out.push_str(&rest[..start]);
        if class.starts_with(|c: char| c.is_ascii_uppercase()) && !function.is_empty() {
            out.push_str(&name_of(class, function, &knows));
        } else {
            out.push_str(&rest[start..end]);
        }
        rest = &rest[end..];
    }
    out + rest
}

/// What does here what a function does there under another name.
const COUNTERPARTS: [(&str, &str, &str); 3] = [
    ("RearrangePlan", "convert", "ArrayPacking.convert_plan"),
    ("TfheParams", "named", "IntParams.named"),
    ("TfheParams", "new", "IntParams"),
];

fn name_of(class: &str, function: &str, knows: &impl Fn(&str, &str) -> bool) -> String {
    let mut counterparts = COUNTERPARTS.iter();
    if let Some((.., name)) = counterparts.find(|c| (c.0, c.1) == (class, function)) {
        return (*name).to_owned();
    }
    // What reads and writes streams there, takes and gives bytes here.
    let renamed = match function {
        "read_from" => "from_bytes",
        "write_to" => "to_bytes",
        other => other,
    };
    for function in [function, renamed] {
        match (knows(class, function), function) {
            (true, "new") => return class.to_owned(),
            (true, _) => return format!("{class}.{function}"),
            _ => {}
        }
    }
    let class = words(class);
    match function {
        "new" => class,
        function => format!("{class}: {}", function.replace('_', " ")),
    }
}

/// `EncryptedMatrix` as `encrypted matrix`.
fn words(class: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for c in class.chars() {
        match words.last_mut() {
            Some(word) if !c.is_ascii_uppercase() => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let words = words.iter().map(|word| match word.as_str() {
        "Coeff" | "Coeffs" => "coefficients".to_owned(),
        "Glwe" | "Lwe" | "Tfhe" => word.to_uppercase(),
        "Int" => "integer".to_owned(),
        "Lut" => "table".to_owned(),
        "Mat" => "matrix".to_owned(),
        "Mul" => "product".to_owned(),
        "Params" => "parameters".to_owned(),
        "Vec" => "vector".to_owned(),
        word => word.to_lowercase(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn name_length(text: &str) -> usize {
    text.find(|c| !is_name(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::in_python;

    #[test]
    fn names_are_those_of_python() {
        let knows = |class: &str, function: &str| {
            matches!(
                (class, function),
                ("Params", "new" | "preset") | ("Ciphertext", "from_bytes")
            )
        };
        for (rust, python) in [
            ("Params::preset: unknown", "Params.preset: unknown"),
            ("Params::new: odd", "Params: odd"),
            ("Params::level: odd", "parameters: level: odd"),
            ("Ciphertext::read_from: bad", "Ciphertext.from_bytes: bad"),
            ("by RearrangePlan::convert", "by ArrayPacking.convert_plan"),
            (
                "CoeffMatMul::apply: no",
                "coefficients matrix product: apply: no",
            ),
            ("a; call Other::new", "a; call other"),
            ("{:?} of std::vec, a::b, ::", "{:?} of std::vec, a::b, ::"),
            ("Encrypted: 3", "Encrypted: 3"),
        ] {
            assert_eq!(in_python(rust, knows), python);
        }
    }
}
