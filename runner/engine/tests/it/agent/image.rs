//! The agent's image.

use super::rig::on_engine;

#[tokio::test]
async fn loading_twice_at_once_is_harmless() {
    on_engine(async |rig| {
        let (one, two) = tokio::join!(rig.engine.load_agent(), rig.engine.load_agent());
        assert_eq!(one.unwrap(), rig.image);
        assert_eq!(two.unwrap(), rig.image);
    })
    .await;
}
