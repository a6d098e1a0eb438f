// The services of the admin API under one roof.
export { Audit } from '../gen/ringfence/v1/admin_audit_pb.js';
export { Flows } from '../gen/ringfence/v1/admin_flows_pb.js';
export { Hosts } from '../gen/ringfence/v1/admin_hosts_pb.js';
export { Labels } from '../gen/ringfence/v1/admin_labels_pb.js';
export { Pairing } from '../gen/ringfence/v1/admin_pairing_pb.js';
export { Policy } from '../gen/ringfence/v1/admin_policy_pb.js';
export { Spaces } from '../gen/ringfence/v1/admin_spaces_pb.js';
export { Status } from '../gen/ringfence/v1/admin_status_pb.js';
export { Tags } from '../gen/ringfence/v1/admin_tags_pb.js';
export { Web } from '../gen/ringfence/v1/admin_web_pb.js';
export { Workloads } from '../gen/ringfence/v1/admin_workloads_pb.js';
