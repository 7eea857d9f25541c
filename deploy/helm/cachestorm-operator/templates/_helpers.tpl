{{- define "operator.labels" -}}
app.kubernetes.io/name: cachestorm-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* what it does with the resources of the namespaces that it looks after */ -}}
{{- define "operator.rules" -}}
- apiGroups: [cachestorm.dev]
  resources: [cachestorms]
  verbs: [get, list, watch, patch]
- apiGroups: [cachestorm.dev]
  resources: [cachestorms/status]
  verbs: [patch]
- apiGroups: [cachestorm.dev]
  resources: [cachestorms/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets, services, serviceaccounts]
  verbs: [get, list, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, delete]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [list, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, create, patch, delete]
# nodes that share slots by Leases get this role, and the operator can give them no other
- apiGroups: [rbac.authorization.k8s.io]
  resources: [rolebindings]
  verbs: [get, list, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [clusterroles]
  resourceNames: [{{ .Release.Name }}-nodes]
  verbs: [bind]
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors]
  verbs: [get, list, create, patch, delete]
{{- end }}
