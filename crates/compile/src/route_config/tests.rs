mod corpus;
mod dispatch;
mod golden;
