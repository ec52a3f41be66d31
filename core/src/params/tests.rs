use super::*;

#[test]
fn smoke() {
    for name in Params::preset_names() {
        let p = Params::preset(name).unwrap();
        println!("{name}: {p:?}\n{}", p.security_report());
        println!(
            "{:?}",
            p.levels()
                .iter()
                .map(|l| l.scale().clone())
                .collect::<Vec<_>>()
        );
    }
}
