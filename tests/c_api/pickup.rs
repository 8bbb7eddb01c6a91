//! Connections that are picked up in their middle: an option, off by default.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

#[test]
fn a_connection_begins_in_its_middle_only_with_the_option() {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let look_up = |direction, now, bytes: &[u8]| lane.look_up(&burst(direction, now), bytes);
    assert_eq!(options().pickup, 0);
    for v6 in [false, true] {
        let client = Packet::syn(v6, 5, 6, [4000, 443]);
        let server = client.syn_ack();
        let middle = client.data(700_000, 90_000, 100).tcp();
        let create = |pickup| {
            let options = pfplane_state_options { pickup, ..options() };
            lane.try_create(&burst(PFPLANE_IN, 1), &packet(&middle), Some(&options))
        };
        assert_eq!(look_up(PFPLANE_IN, 1, &middle).action, PFPLANE_NEW);
        let refused = create(0).unwrap();
        assert_eq!((refused.action, refused.reason), (PFPLANE_DROP, PFPLANE_REASON_NO_STATE));
        assert_eq!(look_up(PFPLANE_IN, 1, &middle).action, PFPLANE_NEW);

        let (status, text) = create(2).unwrap_err();
        assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
        assert!(text.contains("options.pickup"), "{text}");

        assert_eq!(create(1).unwrap().action, PFPLANE_PASS);
        let answer = server.data(90_000, 700_100, 50).tcp();
        assert_eq!(look_up(PFPLANE_OUT, 2, &answer).action, PFPLANE_PASS);
        let next = client.data(700_100, 90_050, 50).tcp();
        assert_eq!(look_up(PFPLANE_IN, 3, &next).action, PFPLANE_PASS);
        // From then on its windows are checked.
        let far = look_up(PFPLANE_OUT, 4, &server.data(5_000_000, 700_150, 50).tcp());
        assert_eq!((far.action, far.reason), (PFPLANE_DROP, PFPLANE_REASON_WINDOW));
    }
}
