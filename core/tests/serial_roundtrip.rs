//! What is written is read back, and written again the same.

mod frames;

use frames::{VALUES, VECTORS, World, compile, folder};
use ringloom::{
    Ciphertext, Decryptor, Error, Params, PublicKey, SeededKeys, Session,
    matrix::{EncryptedVectors, Packing},
    model::{Program, PublicProgram, Server},
    rlwe::KeyId,
    serial::{Decode, Encode, Header, Kind, Security},
};
use ringloom_ntt::reference::ReferenceDevice;

const LIMIT: u64 = 1 << 20;

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
}

#[test]
fn encoding_is_canonical() {
    let world = World::new(1);
    for frame in world.frames() {
        let again = (frame.read)(&frame.bytes, frame.bytes.len() as u64).unwrap();
        assert!(again == frame.bytes, "{}", frame.name);
        let header = Header::of(&frame.bytes).unwrap();
        assert_eq!(
            header.frame_bytes(),
            frame.bytes.len() as u64,
            "{}",
            frame.name
        );
        let whose = frame.name.split('_').next();
        let (params, secret) = match whose {
            Some("tfhe") => (world.tfhe.session.params().id(), world.tfhe.secret.id()),
            Some("integers") => {
                let hidden = &world.hidden;
                (hidden.session.params().id(), hidden.secret.id())
            }
            _ => (world.params.id(), world.secret.id()),
        };
        assert_eq!(header.params_id(), params);
        assert!(frame.name.ends_with(header.kind().extension()));
        let keyed = matches!(frame.name.rsplit_once('.'), Some((_, "rlk" | "rlc")));
        let keyed = keyed || header.kind() == Kind::EncryptedIntNetwork;
        assert_eq!(KeyId::of(&header) == secret, keyed, "{}", frame.name);
    }
}

#[test]
fn values_survive() {
    let world = World::new(2);
    let (params, session) = (&world.params, &world.session);
    let bytes = world.public.to_bytes().unwrap();
    assert!(PublicKey::from_bytes(&bytes, params, LIMIT).unwrap() == world.public);
    let bytes = world.keys.to_bytes().unwrap();
    assert!(SeededKeys::from_bytes(&bytes, params, LIMIT).unwrap() == world.keys);
    assert!(
        (bytes.len() as u64) < world.keys.bytes(),
        "residues take as many bits as their modulus"
    );
    let decryptor = Decryptor::new(&world.secret);
    let bytes = world.ciphertext.to_bytes().unwrap();
    let ct = Ciphertext::from_bytes(&bytes, session, LIMIT).unwrap();
    assert_eq!(
        (ct.meta(), ct.key_id()),
        (world.ciphertext.meta(), world.secret.id())
    );
    close(&decryptor.decrypt(&ct).unwrap(), &VALUES);
    let bytes = world.vectors.to_bytes().unwrap();
    let batch = EncryptedVectors::from_bytes(&bytes, session, LIMIT).unwrap();
    assert_eq!(
        (batch.packing(), batch.count()),
        (world.vectors.packing(), 2)
    );
    let plain = batch.decrypt(&decryptor).unwrap();
    plain.iter().zip(&VECTORS).for_each(|(a, b)| close(a, b));
    let bytes = params.to_bytes().unwrap();
    let back = Params::from_bytes(&bytes, &Security::AllowInsecure, LIMIT).unwrap();
    assert_eq!(back.literal(), params.literal());
}

#[test]
fn a_program_out_of_bytes_runs_as_before() {
    let world = World::new(3);
    let (client, secret) = (&world.session, &world.secret);
    let bytes = world.program.to_bytes().unwrap();
    let program = Program::from_bytes(&bytes, &Security::AllowInsecure, LIMIT).unwrap();
    let public = world.program.public().to_bytes().unwrap();
    let public = PublicProgram::from_bytes(&public, &Security::AllowInsecure, LIMIT).unwrap();
    assert_eq!(&public, world.program.public());
    assert_eq!(program.public(), &public);
    assert_eq!(program.fits(), world.program.fits());
    assert_eq!(program.prediction(), world.program.prediction());
    let clear = program.clear(&VECTORS[0]).unwrap();
    assert_eq!(clear, world.program.clear(&VECTORS[0]).unwrap());
    let noisy = program.simulate(&VECTORS[1], 5).unwrap();
    assert_eq!(noisy, world.program.simulate(&VECTORS[1], 5).unwrap());

    // Everything between two parties goes through bytes.
    let keys = secret.evaluation_keys(public.key_request()).unwrap();
    let keys = SeededKeys::from_bytes(&keys.to_bytes().unwrap(), &world.params, LIMIT).unwrap();
    let encryptor = ringloom::Encryptor::new(client, &world.public).unwrap();
    let (packing, level) = (public.input(), public.input_level());
    let input = EncryptedVectors::encrypt(&encryptor, packing, &VECTORS, level).unwrap();
    let host = Session::new(program.params(), &ReferenceDevice::new()).unwrap();
    let input = EncryptedVectors::from_bytes(&input.to_bytes().unwrap(), &host, LIMIT).unwrap();
    let server = Server::new(&host, &program, &keys).unwrap();
    let output = server
        .run(&input, &mut |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let output = EncryptedVectors::from_bytes(&output.to_bytes().unwrap(), client, LIMIT).unwrap();
    let decrypted = output.decrypt(&Decryptor::new(secret)).unwrap();
    for (x, got) in VECTORS.iter().zip(&decrypted) {
        close(got, &program.clear(x).unwrap());
    }
}

#[test]
fn the_public_program_says_nothing_about_weights() {
    let params = Params::insecure_toy_ring(4, 4).unwrap();
    let programs = [1.0, 2.5, -7.25].map(|seed| compile(&params, seed));
    let public = programs.each_ref().map(|p| p.public().to_bytes().unwrap());
    assert!(public.iter().all(|bytes| *bytes == public[0]));
    let whole = programs.each_ref().map(|p| p.to_bytes().unwrap());
    assert!(whole[0] != whole[1] && whole[1] != whole[2]);
}

#[test]
fn products_and_long_vectors_survive() {
    let world = World::new(4);
    let (session, slots) = (&world.session, world.params.slots());
    let encryptor = ringloom::Encryptor::new(session, &world.public).unwrap();
    // Three ciphertexts, all lanes in one.
    let packing = Packing::new(slots, 20, 20).unwrap();
    let long: Vec<f64> = (0..20).map(f64::from).collect();
    let batch = EncryptedVectors::encrypt(&encryptor, packing, &[&long], 3).unwrap();
    let batch = EncryptedVectors::from_bytes(&batch.to_bytes().unwrap(), session, LIMIT).unwrap();
    assert_eq!(batch.parts().len(), 3);
    let decryptor = Decryptor::new(&world.secret);
    close(&batch.decrypt(&decryptor).unwrap()[0], &long);
    // A product that waits for its rescale.
    let keys = ringloom::EvaluationKeys::load(session, &world.keys).unwrap();
    let evaluator = ringloom::Evaluator::new(std::sync::Arc::new(keys));
    let square = evaluator.mul(&world.ciphertext, &world.ciphertext).unwrap();
    let product = Ciphertext::from_bytes(&square.to_bytes().unwrap(), session, LIMIT).unwrap();
    assert_eq!(product.power(), 2);
    let squares = VALUES.map(|v| v * v);
    let rescaled = evaluator.rescale(&product).unwrap();
    close(&decryptor.decrypt(&rescaled).unwrap(), &squares);
}

#[test]
fn frames_follow_each_other() {
    let world = World::new(6);
    let mut stream = Vec::new();
    world.public.write_to(&mut stream).unwrap();
    world.ciphertext.write_to(&mut stream).unwrap();
    let mut rest = stream.as_slice();
    let key = PublicKey::read_from(&mut rest, &world.params, LIMIT).unwrap();
    assert!(key == world.public);
    let ct = Ciphertext::read_from(&mut rest, &world.session, LIMIT).unwrap();
    assert_eq!(ct.level(), 2);
    assert!(rest.is_empty());
}

#[test]
fn files() {
    let world = World::new(7);
    let folder = folder("files");
    let path = folder.join("keys.rlk");
    world.keys.save(&path).unwrap();
    world.keys.save(&path).unwrap(); // replaces
    assert!(SeededKeys::load(&path, &world.params, LIMIT).unwrap() == world.keys);
    assert_eq!(
        std::fs::read_dir(&folder).unwrap().count(),
        1,
        "no partial file stays"
    );
    let mut bytes = std::fs::read(&path).unwrap();
    assert_eq!(Header::of(&bytes).unwrap().kind(), Kind::SeededKeys);
    bytes.push(0);
    std::fs::write(&path, &bytes).unwrap();
    let error = SeededKeys::load(&path, &world.params, LIMIT).unwrap_err();
    assert!(matches!(error, Error::Serialization { .. }), "{error}");
    let missing = folder.join("missing.rlk");
    let error = SeededKeys::load(&missing, &world.params, LIMIT).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let nowhere = folder.join("no/such/folder.rlk");
    assert!(matches!(world.keys.save(&nowhere), Err(Error::File { .. })));
    std::fs::remove_dir_all(folder).unwrap();
}
