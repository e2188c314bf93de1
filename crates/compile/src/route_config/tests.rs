mod corpus;
mod golden;
