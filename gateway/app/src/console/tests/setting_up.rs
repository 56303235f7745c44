//! Places and devices are added, changed and removed from the console; codes in pictures are read.

use axum::http::{Method, StatusCode};
use qrcodegen::{QrCode, QrCodeEcc};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::desk::Desk;
use super::sample;
use crate::audit::{self, Wanted};
use crate::console::Role;
use crate::registry_file;

/// Lets what stands in the registry's file come into force, as the running gateway does.
fn follow(desk: &Desk) -> tokio::task::JoinHandle<()> {
    let (settings, in_force, dir) = (desk.settings.clone(), desk.registry.clone(), desk.data_dir().to_owned());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let registry = registry_file::load(&dir).unwrap();
            if **in_force.borrow() == registry {
                continue;
            }
            let mut shown = registry.clone();
            shown.devices.iter_mut().for_each(|device| device.secret.clear());
            settings.send_modify(|settings| Arc::make_mut(settings).registry = shown);
            in_force.send_replace(Arc::new(registry));
        }
    })
}

fn desk() -> (Desk, tokio::task::JoinHandle<()>) {
    let desk = Desk::open(ninewatch_core::site::Registry::default());
    let following = follow(&desk);
    (desk, following)
}

async fn school(client: &Client) {
    let place = json!({"id": "school", "name": "希望小学", "kind": "school", "grid": "kaili-1"});
    let answer = client.post("/api/v1/places", &place).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

fn smoke(id: &str) -> Value {
    json!({"id": id, "type": "ninewatch-smoke", "place": "school", "spot": "食堂"})
}

#[tokio::test]
async fn a_place_and_a_device_are_there_as_soon_as_the_answer_is() {
    let (desk, _following) = desk();
    let client = desk.program_of("fang", Role::Installer, &[]);
    school(&client).await;
    assert_eq!(client.get("/api/v1/places").await.json()["places"][0]["name"], "希望小学");
    let answer = client.post("/api/v1/devices", &smoke("smoke-1")).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let added = answer.json();
    let secret = added["credential"]["secret"].as_str().unwrap().to_owned();
    assert_eq!(added["credential"]["server"], "mqtts://127.0.0.1:8883");
    let kept = registry_file::load(desk.data_dir()).unwrap();
    assert!(registry_file::verify(&kept.device("smoke-1").unwrap().secret, secret.as_bytes()));
    assert_eq!(client.get("/api/v1/devices").await.json()["devices"][0]["spot"], "食堂");

    let renewed = client.send(Method::POST, "/api/v1/devices/smoke-1/secret", None).await.json();
    let kept = registry_file::load(desk.data_dir()).unwrap();
    assert!(registry_file::verify(
        &kept.device("smoke-1").unwrap().secret,
        renewed["secret"].as_str().unwrap().as_bytes()
    ));
    assert!(!registry_file::verify(&kept.device("smoke-1").unwrap().secret, secret.as_bytes()), "the former one ends");
    let label = client.get("/api/v1/devices/smoke-1/label").await.json();
    assert_eq!(label["text"], "NW:D1:kaili-01:smoke-1:ninewatch-smoke");

    let of = |what: &str| Wanted { what: Some(what.into()), limit: 9, ..Wanted::default() };
    let (places, _) = audit::read(desk.data_dir(), &of("place.add")).unwrap();
    assert_eq!((places.len(), places[0].of.as_str()), (1, "school"));
    let (renewals, _) = audit::read(desk.data_dir(), &of("device.renew")).unwrap();
    assert_eq!((renewals.len(), renewals[0].of.as_str(), renewals[0].who.as_str()), (1, "smoke-1", "fang"));
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_field_and_nothing_has_changed() {
    let (desk, _following) = desk();
    let client = desk.program();
    school(&client).await;
    let again = json!({"id": "school", "name": "x", "kind": "shop", "grid": "g"});
    assert_eq!(client.post("/api/v1/places", &again).await.code(), "place_is_there");
    for (field, wrong) in [
        ("id", json!({"id": "a b", "type": "ninewatch-smoke", "place": "school"})),
        ("type", json!({"id": "a", "type": "nothing", "place": "school"})),
        ("place", json!({"id": "a", "type": "ninewatch-smoke", "place": "gone"})),
        ("spot", json!({"id": "a", "type": "ninewatch-smoke", "place": "school", "spot": "x".repeat(201)})),
    ] {
        let answer = client.post("/api/v1/devices", &wrong).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::BAD_REQUEST, "wrong_field"), "{field}");
        assert_eq!(answer.json()["field"], field);
    }
    assert_eq!(registry_file::load(desk.data_dir()).unwrap().devices, []);
    assert_eq!(client.post("/api/v1/devices", &smoke("s1")).await.status, StatusCode::CREATED);
    assert_eq!(client.post("/api/v1/devices", &smoke("s1")).await.code(), "device_is_there");
    assert_eq!(client.send(Method::DELETE, "/api/v1/places/school", None).await.code(), "place_has_devices");
    assert_eq!(client.send(Method::DELETE, "/api/v1/devices/s2", None).await.code(), "no_device");
    assert_eq!(client.status(Method::DELETE, "/api/v1/devices/s1").await, StatusCode::NO_CONTENT);
    assert_eq!(client.status(Method::DELETE, "/api/v1/places/school").await, StatusCode::NO_CONTENT);
    assert_eq!(client.get("/api/v1/places").await.json()["places"], json!([]));
}

#[tokio::test]
async fn an_installer_changes_a_device_and_not_whom_it_cares_for() {
    let (desk, _following) = desk();
    let (admin, fitter) = (desk.program(), desk.program_of("fang", Role::Installer, &[]));
    school(&admin).await;
    let mut device = smoke("s1");
    device["person"] = json!("elder_alone");
    assert_eq!(admin.post("/api/v1/devices", &device).await.status, StatusCode::CREATED);
    let moved = json!({"type": "ninewatch-smoke", "place": "school", "spot": "门口", "known_as": "烟感 1"});
    let answer = fitter.send(Method::PUT, "/api/v1/devices/s1", Some(&moved)).await;
    assert_eq!((answer.status, &answer.json()["spot"]), (StatusCode::OK, &json!("门口")));
    let shown = admin.get("/api/v1/devices").await.json()["devices"][0].clone();
    assert_eq!((&shown["person"], &shown["known_as"]), (&json!("elder_alone"), &json!("烟感 1")));
    let nobody = json!({"type": "ninewatch-smoke", "place": "school", "person": null});
    assert_eq!(admin.send(Method::PUT, "/api/v1/devices/s1", Some(&nobody)).await.status, StatusCode::OK);
    assert_eq!(admin.get("/api/v1/devices").await.json()["devices"][0]["person"], json!(null));
}

/// A code of 4 pixels a square, on white.
fn photograph(text: &str) -> (usize, Vec<u8>) {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).unwrap();
    let side = usize::try_from(code.size() + 8).unwrap() * 4;
    let dark = |at: usize| {
        let module = |at: usize| i32::try_from(at / 4).unwrap() - 4;
        code.get_module(module(at % side), module(at / side))
    };
    (side, (0..side * side).map(|at| if dark(at) { 20 } else { 240 }).collect())
}

#[tokio::test]
async fn a_picture_is_read_and_leaves_no_trace() {
    let desk = Desk::open(sample::registry());
    let client = desk.program();
    let (side, gray) = photograph("LW:D0:1122334455667788:AABBCCDDEEFF0011:AABB1122");
    let path = format!("/api/v1/setup/scan?width={side}&height={side}");
    let codes = client.send_bytes(Method::POST, &path, gray.clone()).await.json()["codes"].clone();
    assert_eq!(codes[0]["kind"], "lorawan");
    assert_eq!(codes[0]["id"], "aabbccddeeff0011");
    let short = client.send_bytes(Method::POST, &path, gray[1..].to_vec()).await;
    assert_eq!(short.status, StatusCode::BAD_REQUEST);
    let large =
        client.send_bytes(Method::POST, "/api/v1/setup/scan?width=1280&height=1281", vec![0; 1280 * 1281]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let kept = std::fs::read(desk.data_dir().join(audit::LOG)).unwrap();
    assert!(!String::from_utf8_lossy(&kept).to_lowercase().contains("aabbccddeeff0011"), "what was read is not kept");
    let typed = client.post("/api/v1/setup/code", &json!({"text": "SN: G7-0012"})).await.json();
    assert_eq!(typed["codes"][0]["id"], "G7-0012");
}

#[tokio::test]
async fn a_broker_is_checked_before_it_is_kept_and_what_listens_nowhere_is_said_so() {
    let desk = Desk::open(sample::registry());
    let (client, fitter) = (desk.program(), desk.program_of("fang", Role::Installer, &[]));
    assert_eq!(client.get("/api/v1/brokers").await.json(), json!({"brokers": []}));
    let wrong = json!({"name": "home", "url": "http://x", "subscribe": ["zigbee2mqtt/#"]});
    assert_eq!(client.post("/api/v1/brokers", &wrong).await.json()["field"], "url");
    assert_eq!(fitter.post("/api/v1/brokers", &wrong).await.code(), "wrong_role");
    assert_eq!(client.send(Method::DELETE, "/api/v1/brokers/home", None).await.code(), "no_broker");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = client.post("/api/v1/brokers/look", &json!({"url": format!("mqtt://{free}")})).await.json();
    assert_eq!(found, json!({"answer": "unreachable", "zigbee2mqtt": null, "devices": []}));
}
