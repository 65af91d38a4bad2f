//! The description of the API is checked in, and is that of the code.

#[test]
fn the_description_that_is_checked_in_is_that_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let code = bubble_server::http::openapi()
        .to_pretty_json()
        .expect("JSON")
        + "\n";
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        std::fs::write(path, &code).expect("can be written");
    }
    let checked_in = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        checked_in == code,
        "server/openapi.json is not what the code says: \
         `BUBBLE_BLESS=1 cargo test -p bubble-server openapi` writes it anew"
    );
}
