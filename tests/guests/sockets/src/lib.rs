//! Would open a TCP socket: a host must refuse it when it is loaded, and name the import.

use guest::{About, ChatMessage, Description, Event, Failure, OnEvent, Run};
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket;

struct Sockets;

impl About for Sockets {
    fn describe() -> Description {
        guest::chat_messages()
    }
}

impl OnEvent for Sockets {
    fn on_event(_run: Run, event: Event) -> Result<(), Failure> {
        let Some(message) = ChatMessage::of_user(&event) else {
            return Ok(());
        };
        let result = match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(_) => "got a socket".to_owned(),
            Err(error) => format!("no socket: {error:?}"),
        };
        guest::commit_task(&format!("sockets-{}", message.id), &message, &result)
    }
}

guest::export!(Sockets);
