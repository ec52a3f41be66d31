//! The program as users call it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use ringloom_bench::ids;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_ringloom-bench");
    Command::new(program).args(arguments).output().unwrap()
}

fn results(name: &str, arguments: &[&str]) -> (Output, Vec<Value>) {
    let path: PathBuf = [env!("CARGO_TARGET_TMPDIR"), name].iter().collect();
    let file = path.to_str().unwrap();
    let output = bench(&[arguments, &["--json", file]].concat());
    let records = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    (output, records)
}

#[test]
fn every_id_runs_once_at_toy_size() {
    let (output, records) = results("smoke.json", &["run", "--smoke", "*"]);
    assert!(output.status.success(), "{output:?}");
    let found: Vec<&str> = records.iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(found, ids::all());
    for record in &records {
        assert_eq!(record["verified"], true, "{record}");
        for key in ["threads", "peak_bytes", "n", "limbs", "samples", "cores"] {
            assert!(
                record[key].as_u64().is_some_and(|v| v > 0),
                "{key}: {record}"
            );
        }
        for key in [
            "median_ns",
            "spread",
            "max_error",
            "log_qp",
            "median_cpu_ns",
        ] {
            assert!(
                record[key].as_f64().is_some_and(|v| v >= 0.0),
                "{key}: {record}"
            );
        }
        for key in ["device", "commit", "rustc", "flags", "cpu"] {
            assert!(
                record[key].as_str().is_some_and(|v| !v.is_empty()),
                "{key}: {record}"
            );
        }
    }
}

#[test]
fn a_missing_peer_is_named_and_has_no_ratio() {
    let arguments = ["run", "--smoke", "ckks/add/n14_k9", "--peers=/nowhere"];
    let (output, records) = results("missing.json", &arguments);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("openfhe: not run here"), "{text}");
    assert!(text.contains("tenseal: not run here"), "{text}");
    assert!(text.contains("tfhe-rs: not run here"), "{text}");
    let ratios = records[0]["ratios"].as_array().unwrap();
    assert_eq!(ratios.len(), 2);
    for ratio in ratios {
        assert_eq!(
            (&ratio["wall"], &ratio["cpu"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(ratio["verified"], false);
        assert!(ratio["not_run_here"].is_string());
    }
    for peer in &records[1..] {
        assert!(peer["id"].as_str().unwrap().starts_with("peer/"));
        assert_eq!(
            (&peer["median_ns"], &peer["verified"]),
            (&Value::Null, &false.into())
        );
    }
}

#[test]
fn failures_are_not_green() {
    let (output, records) = results(
        "device.json",
        &["run", "--smoke", "ckks/add/*", "--device", "no"],
    );
    assert!(!output.status.success());
    for record in &records {
        assert_eq!(record["verified"], false);
        assert!(
            record["failed"].as_str().unwrap().contains("device"),
            "{record}"
        );
    }
    let output = bench(&["run", "ckks/sub/*"]);
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("no id matches")
    );
}

#[test]
fn lists_and_traces() {
    let text = String::from_utf8(bench(&["list"]).stdout).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), ids::all());
    let trace = |more: &[&str]| -> Vec<Value> {
        let output = bench(&[&["trace", "ckks/rotate/n14_k9", "--smoke"], more].concat());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    let commands = trace(&[]);
    let product = commands.iter().find(|c| c["kind"] == "key_switch").unwrap();
    assert_eq!(
        (&product["log_n"], &product["key_id"]),
        (&10.into(), &0.into())
    );
    assert!(product["limbs"].as_u64().unwrap() > 1 && product["bytes_read"].as_u64().unwrap() > 0);
    let lowered = trace(&["--lowered"]);
    assert!(lowered.len() > commands.len());
    let fused = ["key_switch", "gadget_product"];
    assert!(
        lowered
            .iter()
            .all(|c| fused.iter().all(|f| c["kind"] != *f))
    );
}
