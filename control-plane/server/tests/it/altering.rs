//! Offsets that are being set keep a connector from starting.

use crate::agent::{CLASS, channel};
use crate::calls::calls;
use crate::rig::{leads, name, start, until};
use dray_control::Control;
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::agent::v1::call_answer::Result as Answer;
use dray_wire::agent::v1::calls_request::Body;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{CallAnswer, CallsRequest, OffsetsAlteredResult};
use std::sync::Arc;
use tokio::task::JoinSet;
use tonic::Code;

/// The status of connector c, in words.
fn shown(control: &Control) -> String {
    control.board().read(|seen| {
        let status = seen.connectors.get(&name("c")).and_then(|seen| seen.connector.clone());
        status.map_or_else(String::new, |status| {
            format!("{} {}", status.state, status.trace.unwrap_or_default())
        })
    })
}

/// A resume that comes while an agent sets offsets is carried out after that, and two do not set them at once.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_starts_while_offsets_are_set() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let (answers, mut asked) = calls(&one).await;
    let mut connectors = ConnectorServiceClient::new(channel(one.addresses[0]));
    let create = v1::CreateConnectorRequest {
        name: "c".into(),
        config: [("connector.class".to_owned(), CLASS.to_owned())].into(),
        target: v1::TargetState::Stopped.into(),
        skip_validation: true,
    };
    connectors.create_connector(create).await.unwrap();
    until("it is stopped", || shown(&one) == "STOPPED ").await;

    let mut offsets = OffsetServiceClient::new(channel(one.addresses[0]));
    let reset = || v1::ResetOffsetsRequest { connector: "c".into() };
    let mut running = JoinSet::new();
    let (mut first, request) = (offsets.clone(), reset());
    running.spawn(async move { first.reset_offsets(request).await });
    let call = loop {
        // The agent is asked other things too.
        let call = asked.message().await.unwrap().unwrap();
        if matches!(call.call, Some(Call::AlterOffsets(_))) {
            break call;
        }
    };

    let second = offsets.reset_offsets(reset()).await.unwrap_err();
    assert!(second.message().contains("are being set already"), "{second}");
    connectors
        .resume_connector(v1::ResumeConnectorRequest { name: "c".into() })
        .await
        .unwrap();
    until("the resume waits", || {
        shown(&one).starts_with("UNASSIGNED its offsets are being set")
    })
    .await;
    let third = offsets.reset_offsets(reset()).await.unwrap_err();
    assert_eq!(
        third.code(),
        Code::FailedPrecondition,
        "it is not stopped any more: {third}"
    );

    let answer = CallAnswer {
        id: call.id,
        result: Some(Answer::Altered(OffsetsAlteredResult { external: true })),
    };
    let body = Some(Body::Answer(answer));
    answers.send(CallsRequest { body }).await.unwrap();
    assert!(
        running
            .join_next()
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .into_inner()
            .external
    );
    until("it goes on", || shown(&one).starts_with("UNASSIGNED no agent")).await;
    one.stop().await;
}
