//! The file by which a browser asks the proxy for the mirror's names, and for nothing else.

use std::net::SocketAddr;

/// Its type on the web.
pub const TYPE: &str = "application/x-ns-proxy-autoconfig";

/// The file, for these names and the proxy at this address.
pub fn text(names: &[String], proxy: SocketAddr) -> String {
    let known: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|n| (n.clone(), 1.into())).collect();
    let known = serde_json::Value::Object(known);
    format!(
        "var mirror = {known};\n\
         function FindProxyForURL(url, host) {{\n  \
           var name = host.toLowerCase().replace(/\\.$/, \"\");\n  \
           return mirror.hasOwnProperty(name) ? \"PROXY {proxy}\" : \"DIRECT\";\n\
         }}\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_holds_the_names_as_texts() {
        let names = ["gateway".to_owned(), "pay.example".to_owned()];
        let text = super::text(&names, "127.0.0.1:4711".parse().unwrap());
        assert_eq!(
            text,
            "var mirror = {\"gateway\":1,\"pay.example\":1};\n\
             function FindProxyForURL(url, host) {\n  \
               var name = host.toLowerCase().replace(/\\.$/, \"\");\n  \
               return mirror.hasOwnProperty(name) ? \"PROXY 127.0.0.1:4711\" : \"DIRECT\";\n\
             }\n"
        );
    }
}
