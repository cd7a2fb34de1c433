{{- define "concord.name" -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "concord.labels" -}}
app.kubernetes.io/name: concord
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
