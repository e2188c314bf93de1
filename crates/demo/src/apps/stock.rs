//! The TCP application: a line with a name in, a line with who answers and a number out.

use anyhow::Result;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::Own;

const COUNT: u32 = 42;

pub(super) async fn serve(listener: TcpListener, own: Own) -> Result<()> {
    loop {
        // An error here is a connection that was gone before we took it.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let name = own.name.clone();
        tokio::spawn(async move {
            // An error is a client that went away.
            let _ = answer(stream, &name).await;
        });
    }
}

async fn answer(mut stream: TcpStream, name: &str) -> Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(goods) = lines.next_line().await? {
        writer.write_all(format!("{name} {COUNT} {goods}\n").as_bytes()).await?;
    }
    Ok(())
}
