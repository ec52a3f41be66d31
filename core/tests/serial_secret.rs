//! Secret keys in files.
#![cfg(unix)]

mod frames;

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use frames::{VALUES, World, folder, seal};
use ringloom::{
    Decryptor, Error, Params, PublicKey, SecretKey, Session,
    serial::{Decode, Header, Kind},
};
use ringloom_ntt::reference::ReferenceDevice;

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_secret_comes_back() {
    let world = World::new(1);
    let folder = folder("secret");
    let path = folder.join("key.rls");
    world.secret.export_secret(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"RLSECRET"));
    assert_eq!(bytes.len(), 88 + world.params.n() / 4 + 32);
    let header = Header::of(&bytes).unwrap();
    assert_eq!((header.kind(), header.version()), (Kind::SecretKey, 1));

    let secret = SecretKey::import_secret(&world.session, &path).unwrap();
    assert_eq!(secret.id(), world.secret.id());
    let values = Decryptor::new(&secret).decrypt(&world.ciphertext).unwrap();
    assert!(values.iter().zip(VALUES).all(|(a, b)| (a - b).abs() < 1e-6));
    let again = folder.join("again.rls");
    secret.export_secret(&again).unwrap();
    assert!(fs::read(&again).unwrap() == bytes, "canonical");

    let error = world.secret.export_secret(&path).unwrap_err();
    assert!(
        matches!(error, Error::File { .. }),
        "never overwritten: {error}"
    );
    assert!(fs::read(&path).unwrap() == bytes);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_others_may_read_is_refused() {
    let world = World::new(1);
    let folder = folder("modes");
    let path = folder.join("key.rls");
    world.secret.export_secret(&path).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = SecretKey::import_secret(&world.session, &path).unwrap_err();
        assert!(matches!(error, Error::File { .. }), "{error}");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        SecretKey::import_secret(&world.session, &path).unwrap();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn damaged_secrets_are_refused() {
    let world = World::new(1);
    let folder = folder("damaged");
    let path = folder.join("key.rls");
    world.secret.export_secret(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let damaged = folder.join("damaged.rls");
    let import = |bytes: &[u8]| {
        write(&damaged, bytes);
        SecretKey::import_secret(&world.session, &damaged)
    };
    for length in 0..bytes.len() {
        let error = import(&bytes[..length]).unwrap_err();
        assert!(matches!(error, Error::Serialization { .. }), "{error}");
    }
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(import(&flipped).is_err(), "byte {at}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(import(&longer).is_err());
    let mut wrong = bytes.clone();
    wrong[88] = 0b11;
    seal(&mut wrong);
    let error = import(&wrong).unwrap_err();
    assert!(error.to_string().contains("ternary"), "{error}");
    // No other reader takes it, and it takes no other file.
    let error = PublicKey::from_bytes(&bytes, &world.params, 1 << 20).unwrap_err();
    assert!(
        error.to_string().contains("keep this file to yourself"),
        "{error}"
    );
    let frame = frames::reader(&world, "public_key.rlk");
    assert!(matches!(
        import(&frame.bytes),
        Err(Error::Serialization { .. })
    ));
    // Another session.
    let params = Params::insecure_toy_ring(4, 5).unwrap();
    let session = Session::new(&params, &ReferenceDevice::new()).unwrap();
    let error = SecretKey::import_secret(&session, &path).unwrap_err();
    assert!(matches!(error, Error::ParamsMismatch { .. }), "{error}");
    let error = SecretKey::import_secret(&session, &folder.join("none.rls")).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    fs::remove_dir_all(folder).unwrap();
}
