//! Stories of users and operators, over real sockets, with the real host, real plugins and real LiveStore peers.

mod peers;
