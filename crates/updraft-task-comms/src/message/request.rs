//! What a child asks.

use bytes::Bytes;
use serde::Deserialize;

use super::decode::{self, DecodeError};
use super::*;

/// One message from a child, sorted by who must deal with it.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// How the task instance ended; the store decides whether it counts.
    Outcome(Outcome),
    /// Something the store answers.
    Store(StoreRequest),
    /// A secret for the log masker. Never log it.
    MaskSecret(MaskSecret),
    /// The child wants a (new) log channel.
    ResendLoggingFD,
    /// What a Dag file holds; only parse children send it.
    DagFileParsingResult(DagFileParsingResult),
    /// What the triggers did; only the triggerer child sends it.
    TriggerStateChanges(TriggerStateChanges),
    /// How a connection test ended; only children that make one send it. Ours, not Airflow's.
    ConnectionTestResult(ConnectionTestResult),
    /// The triggerer child waits until there is something for it to do. Ours, not Airflow's: its
    /// own runner only looks once a second.
    AwaitOrders,
    /// A message this release does not know. It must be answered with an error.
    Unknown { message_type: String },
}

/// A question or an order for the store.
///
/// One variant per message, one store function per variant. The answer to each is named
/// at the variants of [`Response`]; where none is, the answer is empty.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub enum StoreRequest {
    SkipDownstreamTasks(SkipDownstreamTasks),
    SetRenderedFields(SetRenderedFields),
    SetRenderedMapIndex(SetRenderedMapIndex),

    SetXCom(SetXCom),
    GetXCom(GetXCom),
    GetXComCount(GetXComCount),
    GetXComSequenceItem(GetXComSequenceItem),
    GetXComSequenceSlice(GetXComSequenceSlice),
    DeleteXCom(DeleteXCom),

    GetConnection(GetConnection),
    GetVariable(GetVariable),
    GetVariableKeys(GetVariableKeys),
    PutVariable(PutVariable),
    DeleteVariable(DeleteVariable),

    ValidateInletsAndOutlets(ValidateInletsAndOutlets),
    GetAssetByName(GetAssetByName),
    GetAssetByUri(GetAssetByUri),
    GetAssetsByAlias(GetAssetsByAlias),
    GetAssetEventByAsset(GetAssetEventByAsset),
    GetAssetEventByAssetAlias(GetAssetEventByAssetAlias),

    TriggerDagRun(TriggerDagRun),
    GetDag(GetDag),
    GetDagRun(GetDagRun),
    GetDagRunState(GetDagRunState),
    GetPreviousDagRun(GetPreviousDagRun),
    GetPrevSuccessfulDagRun(GetPrevSuccessfulDagRun),
    GetDRCount(GetDRCount),

    GetTICount(GetTICount),
    GetTaskStates(GetTaskStates),
    GetPreviousTI(GetPreviousTI),
    GetTaskBreadcrumbs(GetTaskBreadcrumbs),
    GetTaskRescheduleStartDate(GetTaskRescheduleStartDate),

    CreateHITLDetailPayload(CreateHITLDetailPayload),
    UpdateHITLDetail(UpdateHITLDetail),
    GetHITLDetailResponse(GetHITLDetailResponse),

    GetTaskStateStore(GetTaskStateStore),
    SetTaskStateStore(SetTaskStateStore),
    DeleteTaskStateStore(DeleteTaskStateStore),
    ClearTaskStateStore(ClearTaskStateStore),
    GetAssetStateStoreByName(GetAssetStateStoreByName),
    GetAssetStateStoreByUri(GetAssetStateStoreByUri),
    SetAssetStateStoreByName(SetAssetStateStoreByName),
    SetAssetStateStoreByUri(SetAssetStateStoreByUri),
    DeleteAssetStateStoreByName(DeleteAssetStateStoreByName),
    DeleteAssetStateStoreByUri(DeleteAssetStateStoreByUri),
    ClearAssetStateStoreByName(ClearAssetStateStoreByName),
    ClearAssetStateStoreByUri(ClearAssetStateStoreByUri),
}

impl Request {
    /// The type of the message in the body of a request frame.
    pub fn type_of(body: &Bytes) -> Result<String, DecodeError> {
        decode::message_type(body)
    }

    /// Decodes the body of a request frame.
    pub fn decode(body: &Bytes) -> Result<Self, DecodeError> {
        let message_type = decode::message_type(body)?;
        Ok(match message_type.as_str() {
            "MaskSecret" => Self::MaskSecret(decode::fields(&message_type, body)?),
            "ResendLoggingFD" => Self::ResendLoggingFD,
            "AwaitOrders" => Self::AwaitOrders,
            "DagFileParsingResult" => {
                Self::DagFileParsingResult(decode::fields(&message_type, body)?)
            }
            "ConnectionTestResult" => {
                Self::ConnectionTestResult(decode::fields(&message_type, body)?)
            }
            "TriggerStateChanges" => {
                Self::TriggerStateChanges(TriggerStateChanges::decode(&message_type, body)?)
            }
            _ => {
                if let Some(outcome) = decode::variant(&message_type, body)? {
                    Self::Outcome(outcome)
                } else if let Some(request) = decode::variant(&message_type, body)? {
                    Self::Store(request)
                } else {
                    Self::Unknown { message_type }
                }
            }
        })
    }
}
