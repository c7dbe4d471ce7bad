; runtime.c 16dab3b2d01feb227a5522dd0b4898323c1ed441021553afbf9d854ecf47e00b, XLA FFI 0.3

%struct.XLA_FFI_CallFrame = type { i64, ptr, ptr, ptr, i32, %struct.XLA_FFI_Args, %struct.XLA_FFI_Rets, %struct.XLA_FFI_Attrs, ptr }
%struct.XLA_FFI_Args = type { i64, ptr, i64, ptr, ptr }
%struct.XLA_FFI_Rets = type { i64, ptr, i64, ptr, ptr }
%struct.XLA_FFI_Attrs = type { i64, ptr, i64, ptr, ptr, ptr }
%struct.XLA_FFI_Extension_Base = type { i64, i32, ptr }
%struct.XLA_FFI_Metadata_Extension = type { %struct.XLA_FFI_Extension_Base, ptr }
%struct.XLA_FFI_Metadata = type { i64, %struct.XLA_FFI_Api_Version, i32, %struct.XLA_FFI_TypeId }
%struct.XLA_FFI_Api_Version = type { i64, ptr, i32, i32 }
%struct.XLA_FFI_TypeId = type { i64 }
%struct.XLA_FFI_Array = type { i32, i64, ptr }
%struct.Work = type { ptr, ptr, i64, i64, i64, i64, ptr, ptr, i64, i64, i64 }
%struct.XLA_FFI_Error_Create_Args = type { i64, ptr, ptr, i32 }
%struct.XLA_FFI_Api = type { i64, ptr, %struct.XLA_FFI_Api_Version, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr, ptr }
%struct.XLA_FFI_ThreadPool_NumThreads_Args = type { i64, ptr, ptr, ptr }
%struct.XLA_FFI_Buffer = type { i64, ptr, i32, ptr, i64, ptr }
%struct.XLA_FFI_ThreadPool_Schedule_Args = type { i64, ptr, ptr, ptr, ptr }
%struct.XLA_FFI_Error_Destroy_Args = type { i64, ptr, ptr }

@.str = private unnamed_addr constant [54 x i8] c"optifunc: a fused call needs one attribute, its table\00", align 1
@.str.1 = private unnamed_addr constant [24 x i8] c"optifunc: out of memory\00", align 1

; Function Attrs: nounwind uwtable
define ptr @optifunc_run(ptr noundef %0, ptr noundef %1, i64 noundef %2) #0 {
  %4 = alloca ptr, align 8
  %5 = alloca ptr, align 8
  %6 = alloca ptr, align 8
  %7 = alloca i64, align 8
  %8 = alloca ptr, align 8
  %9 = alloca ptr, align 8
  %10 = alloca ptr, align 8
  %11 = alloca ptr, align 8
  %12 = alloca i64, align 8
  %13 = alloca i64, align 8
  %14 = alloca i64, align 8
  %15 = alloca ptr, align 8
  %16 = alloca i64, align 8
  %17 = alloca i64, align 8
  %18 = alloca i64, align 8
  %19 = alloca ptr, align 8
  %20 = alloca i64, align 8
  %21 = alloca i64, align 8
  %22 = alloca i64, align 8
  %23 = alloca i64, align 8
  %24 = alloca i64, align 8
  store ptr %0, ptr %5, align 8
  store ptr %1, ptr %6, align 8
  store i64 %2, ptr %7, align 8
  %25 = load ptr, ptr %5, align 8
  %26 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %25, i32 0, i32 1
  %27 = load ptr, ptr %26, align 8
  store ptr %27, ptr %8, align 8
  %28 = load ptr, ptr %8, align 8
  %29 = icmp ne ptr %28, null
  br i1 %29, label %30, label %47

30:                                               ; preds = %3
  %31 = load ptr, ptr %8, align 8
  %32 = getelementptr inbounds %struct.XLA_FFI_Extension_Base, ptr %31, i32 0, i32 1
  %33 = load i32, ptr %32, align 8
  %34 = icmp eq i32 %33, 1
  br i1 %34, label %35, label %47

35:                                               ; preds = %30
  %36 = load ptr, ptr %8, align 8
  %37 = getelementptr inbounds %struct.XLA_FFI_Metadata_Extension, ptr %36, i32 0, i32 1
  %38 = load ptr, ptr %37, align 8
  store ptr %38, ptr %9, align 8
  %39 = load ptr, ptr %9, align 8
  %40 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %39, i32 0, i32 1
  %41 = getelementptr inbounds %struct.XLA_FFI_Api_Version, ptr %40, i32 0, i32 2
  store i32 0, ptr %41, align 8
  %42 = load ptr, ptr %9, align 8
  %43 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %42, i32 0, i32 1
  %44 = getelementptr inbounds %struct.XLA_FFI_Api_Version, ptr %43, i32 0, i32 3
  store i32 3, ptr %44, align 4
  %45 = load ptr, ptr %9, align 8
  %46 = getelementptr inbounds %struct.XLA_FFI_Metadata, ptr %45, i32 0, i32 2
  store i32 0, ptr %46, align 8
  store ptr null, ptr %4, align 8
  br label %291

47:                                               ; preds = %30, %3
  %48 = load ptr, ptr %5, align 8
  %49 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %48, i32 0, i32 7
  %50 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %49, i32 0, i32 2
  %51 = load i64, ptr %50, align 8
  %52 = icmp ne i64 %51, 1
  br i1 %52, label %61, label %53

53:                                               ; preds = %47
  %54 = load ptr, ptr %5, align 8
  %55 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %54, i32 0, i32 7
  %56 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %55, i32 0, i32 3
  %57 = load ptr, ptr %56, align 8
  %58 = getelementptr inbounds i32, ptr %57, i64 0
  %59 = load i32, ptr %58, align 4
  %60 = icmp ne i32 %59, 1
  br i1 %60, label %61, label %64

61:                                               ; preds = %53, %47
  %62 = load ptr, ptr %5, align 8
  %63 = call ptr @failure(ptr noundef %62, ptr noundef @.str) #3
  store ptr %63, ptr %4, align 8
  br label %291

64:                                               ; preds = %53
  %65 = load ptr, ptr %5, align 8
  %66 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %65, i32 0, i32 7
  %67 = getelementptr inbounds %struct.XLA_FFI_Attrs, ptr %66, i32 0, i32 5
  %68 = load ptr, ptr %67, align 8
  %69 = getelementptr inbounds ptr, ptr %68, i64 0
  %70 = load ptr, ptr %69, align 8
  store ptr %70, ptr %10, align 8
  %71 = load ptr, ptr %10, align 8
  %72 = getelementptr inbounds %struct.XLA_FFI_Array, ptr %71, i32 0, i32 2
  %73 = load ptr, ptr %72, align 8
  store ptr %73, ptr %11, align 8
  %74 = load ptr, ptr %10, align 8
  %75 = getelementptr inbounds %struct.XLA_FFI_Array, ptr %74, i32 0, i32 1
  %76 = load i64, ptr %75, align 8
  %77 = load i64, ptr %7, align 8
  %78 = call i64 @row_length(i64 noundef %77) #3
  %79 = udiv i64 %76, %78
  store i64 %79, ptr %12, align 8
  store i64 0, ptr %13, align 8
  store i64 0, ptr %14, align 8
  br label %80

80:                                               ; preds = %94, %64
  %81 = load i64, ptr %14, align 8
  %82 = load i64, ptr %12, align 8
  %83 = icmp slt i64 %81, %82
  br i1 %83, label %84, label %97

84:                                               ; preds = %80
  %85 = load ptr, ptr %11, align 8
  %86 = load i64, ptr %14, align 8
  %87 = load i64, ptr %7, align 8
  %88 = call i64 @row_length(i64 noundef %87) #3
  %89 = mul nsw i64 %86, %88
  %90 = getelementptr inbounds i64, ptr %85, i64 %89
  %91 = load i64, ptr %90, align 8
  %92 = load i64, ptr %13, align 8
  %93 = add nsw i64 %92, %91
  store i64 %93, ptr %13, align 8
  br label %94

94:                                               ; preds = %84
  %95 = load i64, ptr %14, align 8
  %96 = add nsw i64 %95, 1
  store i64 %96, ptr %14, align 8
  br label %80, !llvm.loop !6

97:                                               ; preds = %80
  %98 = load i64, ptr %12, align 8
  %99 = load i64, ptr %7, align 8
  %100 = mul nsw i64 %98, %99
  %101 = mul i64 %100, 8
  %102 = add i64 88, %101
  %103 = load i64, ptr %12, align 8
  %104 = add nsw i64 %103, 1
  %105 = mul i64 %104, 8
  %106 = add i64 %102, %105
  %107 = call ptr @malloc(i64 noundef %106) #3
  store ptr %107, ptr %15, align 8
  %108 = load ptr, ptr %15, align 8
  %109 = icmp eq ptr %108, null
  br i1 %109, label %110, label %113

110:                                              ; preds = %97
  %111 = load ptr, ptr %5, align 8
  %112 = call ptr @failure(ptr noundef %111, ptr noundef @.str.1) #3
  store ptr %112, ptr %4, align 8
  br label %291

113:                                              ; preds = %97
  %114 = load ptr, ptr %6, align 8
  %115 = load ptr, ptr %15, align 8
  %116 = getelementptr inbounds %struct.Work, ptr %115, i32 0, i32 0
  store ptr %114, ptr %116, align 8
  %117 = load ptr, ptr %11, align 8
  %118 = load ptr, ptr %15, align 8
  %119 = getelementptr inbounds %struct.Work, ptr %118, i32 0, i32 1
  store ptr %117, ptr %119, align 8
  %120 = load i64, ptr %12, align 8
  %121 = load ptr, ptr %15, align 8
  %122 = getelementptr inbounds %struct.Work, ptr %121, i32 0, i32 2
  store i64 %120, ptr %122, align 8
  %123 = load i64, ptr %7, align 8
  %124 = load ptr, ptr %15, align 8
  %125 = getelementptr inbounds %struct.Work, ptr %124, i32 0, i32 3
  store i64 %123, ptr %125, align 8
  %126 = load ptr, ptr %15, align 8
  %127 = getelementptr inbounds %struct.Work, ptr %126, i64 1
  %128 = load ptr, ptr %15, align 8
  %129 = getelementptr inbounds %struct.Work, ptr %128, i32 0, i32 6
  store ptr %127, ptr %129, align 8
  %130 = load ptr, ptr %15, align 8
  %131 = getelementptr inbounds %struct.Work, ptr %130, i32 0, i32 6
  %132 = load ptr, ptr %131, align 8
  %133 = load i64, ptr %12, align 8
  %134 = load i64, ptr %7, align 8
  %135 = mul nsw i64 %133, %134
  %136 = getelementptr inbounds ptr, ptr %132, i64 %135
  %137 = load ptr, ptr %15, align 8
  %138 = getelementptr inbounds %struct.Work, ptr %137, i32 0, i32 7
  store ptr %136, ptr %138, align 8
  %139 = load ptr, ptr %15, align 8
  %140 = getelementptr inbounds %struct.Work, ptr %139, i32 0, i32 9
  store i64 0, ptr %140, align 8
  %141 = load ptr, ptr %15, align 8
  %142 = getelementptr inbounds %struct.Work, ptr %141, i32 0, i32 8
  store i64 0, ptr %142, align 8
  %143 = load ptr, ptr %15, align 8
  %144 = getelementptr inbounds %struct.Work, ptr %143, i32 0, i32 10
  store i64 1, ptr %144, align 8
  %145 = load ptr, ptr %5, align 8
  %146 = call i64 @thread_count(ptr noundef %145) #3
  store i64 %146, ptr %16, align 8
  %147 = load i64, ptr %13, align 8
  %148 = load i64, ptr %16, align 8
  %149 = mul nsw i64 %148, 8
  %150 = sdiv i64 %147, %149
  %151 = sdiv i64 %150, 1024
  %152 = mul nsw i64 %151, 1024
  store i64 %152, ptr %17, align 8
  %153 = load i64, ptr %17, align 8
  %154 = icmp slt i64 %153, 16384
  br i1 %154, label %155, label %156

155:                                              ; preds = %113
  br label %158

156:                                              ; preds = %113
  %157 = load i64, ptr %17, align 8
  br label %158

158:                                              ; preds = %156, %155
  %159 = phi i64 [ 16384, %155 ], [ %157, %156 ]
  %160 = load ptr, ptr %15, align 8
  %161 = getelementptr inbounds %struct.Work, ptr %160, i32 0, i32 4
  store i64 %159, ptr %161, align 8
  %162 = load ptr, ptr %15, align 8
  %163 = getelementptr inbounds %struct.Work, ptr %162, i32 0, i32 5
  store i64 0, ptr %163, align 8
  store i64 0, ptr %18, align 8
  br label %164

164:                                              ; preds = %232, %158
  %165 = load i64, ptr %18, align 8
  %166 = load i64, ptr %12, align 8
  %167 = icmp slt i64 %165, %166
  br i1 %167, label %168, label %235

168:                                              ; preds = %164
  %169 = load ptr, ptr %11, align 8
  %170 = load i64, ptr %18, align 8
  %171 = load i64, ptr %7, align 8
  %172 = call i64 @row_length(i64 noundef %171) #3
  %173 = mul nsw i64 %170, %172
  %174 = getelementptr inbounds i64, ptr %169, i64 %173
  store ptr %174, ptr %19, align 8
  %175 = load ptr, ptr %15, align 8
  %176 = getelementptr inbounds %struct.Work, ptr %175, i32 0, i32 5
  %177 = load i64, ptr %176, align 8
  %178 = load ptr, ptr %15, align 8
  %179 = getelementptr inbounds %struct.Work, ptr %178, i32 0, i32 7
  %180 = load ptr, ptr %179, align 8
  %181 = load i64, ptr %18, align 8
  %182 = getelementptr inbounds i64, ptr %180, i64 %181
  store i64 %177, ptr %182, align 8
  %183 = load ptr, ptr %19, align 8
  %184 = getelementptr inbounds i64, ptr %183, i64 0
  %185 = load i64, ptr %184, align 8
  %186 = load ptr, ptr %15, align 8
  %187 = getelementptr inbounds %struct.Work, ptr %186, i32 0, i32 4
  %188 = load i64, ptr %187, align 8
  %189 = add nsw i64 %185, %188
  %190 = sub nsw i64 %189, 1
  %191 = load ptr, ptr %15, align 8
  %192 = getelementptr inbounds %struct.Work, ptr %191, i32 0, i32 4
  %193 = load i64, ptr %192, align 8
  %194 = sdiv i64 %190, %193
  %195 = load ptr, ptr %15, align 8
  %196 = getelementptr inbounds %struct.Work, ptr %195, i32 0, i32 5
  %197 = load i64, ptr %196, align 8
  %198 = add nsw i64 %197, %194
  store i64 %198, ptr %196, align 8
  store i64 0, ptr %20, align 8
  br label %199

199:                                              ; preds = %228, %168
  %200 = load i64, ptr %20, align 8
  %201 = load i64, ptr %7, align 8
  %202 = icmp slt i64 %200, %201
  br i1 %202, label %203, label %231

203:                                              ; preds = %199
  %204 = load ptr, ptr %5, align 8
  %205 = load ptr, ptr %19, align 8
  %206 = load i64, ptr %20, align 8
  %207 = mul nsw i64 2, %206
  %208 = add nsw i64 1, %207
  %209 = getelementptr inbounds i64, ptr %205, i64 %208
  %210 = load i64, ptr %209, align 8
  %211 = call ptr @buffer(ptr noundef %204, i64 noundef %210) #3
  %212 = load ptr, ptr %19, align 8
  %213 = load i64, ptr %20, align 8
  %214 = mul nsw i64 2, %213
  %215 = add nsw i64 2, %214
  %216 = getelementptr inbounds i64, ptr %212, i64 %215
  %217 = load i64, ptr %216, align 8
  %218 = getelementptr inbounds i8, ptr %211, i64 %217
  %219 = load ptr, ptr %15, align 8
  %220 = getelementptr inbounds %struct.Work, ptr %219, i32 0, i32 6
  %221 = load ptr, ptr %220, align 8
  %222 = load i64, ptr %18, align 8
  %223 = load i64, ptr %7, align 8
  %224 = mul nsw i64 %222, %223
  %225 = load i64, ptr %20, align 8
  %226 = add nsw i64 %224, %225
  %227 = getelementptr inbounds ptr, ptr %221, i64 %226
  store ptr %218, ptr %227, align 8
  br label %228

228:                                              ; preds = %203
  %229 = load i64, ptr %20, align 8
  %230 = add nsw i64 %229, 1
  store i64 %230, ptr %20, align 8
  br label %199, !llvm.loop !8

231:                                              ; preds = %199
  br label %232

232:                                              ; preds = %231
  %233 = load i64, ptr %18, align 8
  %234 = add nsw i64 %233, 1
  store i64 %234, ptr %18, align 8
  br label %164, !llvm.loop !9

235:                                              ; preds = %164
  %236 = load ptr, ptr %15, align 8
  %237 = getelementptr inbounds %struct.Work, ptr %236, i32 0, i32 5
  %238 = load i64, ptr %237, align 8
  %239 = load ptr, ptr %15, align 8
  %240 = getelementptr inbounds %struct.Work, ptr %239, i32 0, i32 7
  %241 = load ptr, ptr %240, align 8
  %242 = load i64, ptr %12, align 8
  %243 = getelementptr inbounds i64, ptr %241, i64 %242
  store i64 %238, ptr %243, align 8
  %244 = load i64, ptr %13, align 8
  %245 = sdiv i64 %244, 16384
  store i64 %245, ptr %21, align 8
  %246 = load i64, ptr %16, align 8
  %247 = load i64, ptr %21, align 8
  %248 = icmp slt i64 %246, %247
  br i1 %248, label %249, label %251

249:                                              ; preds = %235
  %250 = load i64, ptr %16, align 8
  br label %253

251:                                              ; preds = %235
  %252 = load i64, ptr %21, align 8
  br label %253

253:                                              ; preds = %251, %249
  %254 = phi i64 [ %250, %249 ], [ %252, %251 ]
  store i64 %254, ptr %22, align 8
  %255 = load ptr, ptr %5, align 8
  %256 = load ptr, ptr %15, align 8
  %257 = load i64, ptr %22, align 8
  %258 = load ptr, ptr %15, align 8
  %259 = getelementptr inbounds %struct.Work, ptr %258, i32 0, i32 5
  %260 = load i64, ptr %259, align 8
  %261 = icmp slt i64 %257, %260
  br i1 %261, label %262, label %265

262:                                              ; preds = %253
  %263 = load i64, ptr %22, align 8
  %264 = sub nsw i64 %263, 1
  br label %270

265:                                              ; preds = %253
  %266 = load ptr, ptr %15, align 8
  %267 = getelementptr inbounds %struct.Work, ptr %266, i32 0, i32 5
  %268 = load i64, ptr %267, align 8
  %269 = sub nsw i64 %268, 1
  br label %270

270:                                              ; preds = %265, %262
  %271 = phi i64 [ %264, %262 ], [ %269, %265 ]
  call void @call_helpers(ptr noundef %255, ptr noundef %256, i64 noundef %271) #3
  %272 = load ptr, ptr %15, align 8
  call void @take_blocks(ptr noundef %272) #3
  store i64 0, ptr %23, align 8
  br label %273

273:                                              ; preds = %288, %270
  %274 = load ptr, ptr %15, align 8
  %275 = getelementptr inbounds %struct.Work, ptr %274, i32 0, i32 9
  %276 = load atomic i64, ptr %275 acquire, align 8
  store i64 %276, ptr %24, align 8
  %277 = load i64, ptr %24, align 8
  %278 = load ptr, ptr %15, align 8
  %279 = getelementptr inbounds %struct.Work, ptr %278, i32 0, i32 5
  %280 = load i64, ptr %279, align 8
  %281 = icmp slt i64 %277, %280
  br i1 %281, label %282, label %289

282:                                              ; preds = %273
  %283 = load i64, ptr %23, align 8
  %284 = add nsw i64 %283, 1
  store i64 %284, ptr %23, align 8
  %285 = icmp sgt i64 %284, 1000
  br i1 %285, label %286, label %288

286:                                              ; preds = %282
  %287 = call i32 @sched_yield() #3
  br label %288

288:                                              ; preds = %286, %282
  br label %273, !llvm.loop !10

289:                                              ; preds = %273
  %290 = load ptr, ptr %15, align 8
  call void @drop(ptr noundef %290) #3
  store ptr null, ptr %4, align 8
  br label %291

291:                                              ; preds = %289, %110, %61, %35
  %292 = load ptr, ptr %4, align 8
  ret ptr %292
}

; Function Attrs: nounwind uwtable
define internal ptr @failure(ptr noundef %0, ptr noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca ptr, align 8
  %5 = alloca %struct.XLA_FFI_Error_Create_Args, align 8
  store ptr %0, ptr %3, align 8
  store ptr %1, ptr %4, align 8
  %6 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 0
  store i64 28, ptr %6, align 8
  %7 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 1
  store ptr null, ptr %7, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 2
  %9 = load ptr, ptr %4, align 8
  store ptr %9, ptr %8, align 8
  %10 = getelementptr inbounds %struct.XLA_FFI_Error_Create_Args, ptr %5, i32 0, i32 3
  store i32 13, ptr %10, align 8
  %11 = getelementptr i8, ptr %5, i64 28
  call void @llvm.memset.p0.i64(ptr align 4 %11, i8 0, i64 4, i1 false)
  %12 = load ptr, ptr %3, align 8
  %13 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %12, i32 0, i32 2
  %14 = load ptr, ptr %13, align 8
  %15 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %14, i32 0, i32 4
  %16 = load ptr, ptr %15, align 8
  %17 = call ptr %16(ptr noundef %5) #3
  ret ptr %17
}

; Function Attrs: nounwind uwtable
define internal i64 @row_length(i64 noundef %0) #0 {
  %2 = alloca i64, align 8
  store i64 %0, ptr %2, align 8
  %3 = load i64, ptr %2, align 8
  %4 = mul nsw i64 2, %3
  %5 = add nsw i64 1, %4
  ret i64 %5
}

declare ptr @malloc(i64 noundef) #1

; Function Attrs: nounwind uwtable
define internal i64 @thread_count(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca %struct.XLA_FFI_ThreadPool_NumThreads_Args, align 8
  %5 = alloca i32, align 4
  store ptr %0, ptr %2, align 8
  store i64 1, ptr %3, align 8
  %6 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 0
  store i64 32, ptr %6, align 8
  %7 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 1
  store ptr null, ptr %7, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 2
  %9 = load ptr, ptr %2, align 8
  %10 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %9, i32 0, i32 3
  %11 = load ptr, ptr %10, align 8
  store ptr %11, ptr %8, align 8
  %12 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_NumThreads_Args, ptr %4, i32 0, i32 3
  store ptr %3, ptr %12, align 8
  %13 = load ptr, ptr %2, align 8
  %14 = load ptr, ptr %2, align 8
  %15 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %14, i32 0, i32 2
  %16 = load ptr, ptr %15, align 8
  %17 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %16, i32 0, i32 16
  %18 = load ptr, ptr %17, align 8
  %19 = call ptr %18(ptr noundef %4) #3
  %20 = call i32 @succeeded(ptr noundef %13, ptr noundef %19) #3
  store i32 %20, ptr %5, align 4
  %21 = load i32, ptr %5, align 4
  %22 = icmp ne i32 %21, 0
  br i1 %22, label %23, label %28

23:                                               ; preds = %1
  %24 = load i64, ptr %3, align 8
  %25 = icmp sgt i64 %24, 1
  br i1 %25, label %26, label %28

26:                                               ; preds = %23
  %27 = load i64, ptr %3, align 8
  br label %29

28:                                               ; preds = %23, %1
  br label %29

29:                                               ; preds = %28, %26
  %30 = phi i64 [ %27, %26 ], [ 1, %28 ]
  ret i64 %30
}

; Function Attrs: nounwind uwtable
define internal ptr @buffer(ptr noundef %0, i64 noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca ptr, align 8
  store ptr %0, ptr %3, align 8
  store i64 %1, ptr %4, align 8
  %7 = load ptr, ptr %3, align 8
  %8 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %7, i32 0, i32 5
  %9 = getelementptr inbounds %struct.XLA_FFI_Args, ptr %8, i32 0, i32 2
  %10 = load i64, ptr %9, align 8
  store i64 %10, ptr %5, align 8
  %11 = load i64, ptr %4, align 8
  %12 = load i64, ptr %5, align 8
  %13 = icmp slt i64 %11, %12
  br i1 %13, label %14, label %22

14:                                               ; preds = %2
  %15 = load ptr, ptr %3, align 8
  %16 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %15, i32 0, i32 5
  %17 = getelementptr inbounds %struct.XLA_FFI_Args, ptr %16, i32 0, i32 4
  %18 = load ptr, ptr %17, align 8
  %19 = load i64, ptr %4, align 8
  %20 = getelementptr inbounds ptr, ptr %18, i64 %19
  %21 = load ptr, ptr %20, align 8
  br label %32

22:                                               ; preds = %2
  %23 = load ptr, ptr %3, align 8
  %24 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %23, i32 0, i32 6
  %25 = getelementptr inbounds %struct.XLA_FFI_Rets, ptr %24, i32 0, i32 4
  %26 = load ptr, ptr %25, align 8
  %27 = load i64, ptr %4, align 8
  %28 = load i64, ptr %5, align 8
  %29 = sub nsw i64 %27, %28
  %30 = getelementptr inbounds ptr, ptr %26, i64 %29
  %31 = load ptr, ptr %30, align 8
  br label %32

32:                                               ; preds = %22, %14
  %33 = phi ptr [ %21, %14 ], [ %31, %22 ]
  store ptr %33, ptr %6, align 8
  %34 = load ptr, ptr %6, align 8
  %35 = getelementptr inbounds %struct.XLA_FFI_Buffer, ptr %34, i32 0, i32 3
  %36 = load ptr, ptr %35, align 8
  ret ptr %36
}

; Function Attrs: nounwind uwtable
define internal void @call_helpers(ptr noundef %0, ptr noundef %1, i64 noundef %2) #0 {
  %4 = alloca ptr, align 8
  %5 = alloca ptr, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  %8 = alloca i64, align 8
  %9 = alloca i64, align 8
  %10 = alloca %struct.XLA_FFI_ThreadPool_Schedule_Args, align 8
  store ptr %0, ptr %4, align 8
  store ptr %1, ptr %5, align 8
  store i64 %2, ptr %6, align 8
  store i64 0, ptr %7, align 8
  br label %11

11:                                               ; preds = %43, %3
  %12 = load i64, ptr %7, align 8
  %13 = load i64, ptr %6, align 8
  %14 = icmp slt i64 %12, %13
  br i1 %14, label %15, label %46

15:                                               ; preds = %11
  %16 = load ptr, ptr %5, align 8
  %17 = getelementptr inbounds %struct.Work, ptr %16, i32 0, i32 10
  store i64 1, ptr %8, align 8
  %18 = load i64, ptr %8, align 8
  %19 = atomicrmw add ptr %17, i64 %18 monotonic, align 8
  %20 = add i64 %19, %18
  store i64 %20, ptr %9, align 8
  %21 = load i64, ptr %9, align 8
  %22 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 0
  store i64 40, ptr %22, align 8
  %23 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 1
  store ptr null, ptr %23, align 8
  %24 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 2
  %25 = load ptr, ptr %4, align 8
  %26 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %25, i32 0, i32 3
  %27 = load ptr, ptr %26, align 8
  store ptr %27, ptr %24, align 8
  %28 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 3
  store ptr @help, ptr %28, align 8
  %29 = getelementptr inbounds %struct.XLA_FFI_ThreadPool_Schedule_Args, ptr %10, i32 0, i32 4
  %30 = load ptr, ptr %5, align 8
  store ptr %30, ptr %29, align 8
  %31 = load ptr, ptr %4, align 8
  %32 = load ptr, ptr %4, align 8
  %33 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %32, i32 0, i32 2
  %34 = load ptr, ptr %33, align 8
  %35 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %34, i32 0, i32 15
  %36 = load ptr, ptr %35, align 8
  %37 = call ptr %36(ptr noundef %10) #3
  %38 = call i32 @succeeded(ptr noundef %31, ptr noundef %37) #3
  %39 = icmp ne i32 %38, 0
  br i1 %39, label %42, label %40

40:                                               ; preds = %15
  %41 = load ptr, ptr %5, align 8
  call void @drop(ptr noundef %41) #3
  br label %46

42:                                               ; preds = %15
  br label %43

43:                                               ; preds = %42
  %44 = load i64, ptr %7, align 8
  %45 = add nsw i64 %44, 1
  store i64 %45, ptr %7, align 8
  br label %11, !llvm.loop !11

46:                                               ; preds = %40, %11
  ret void
}

; Function Attrs: nounwind uwtable
define internal void @take_blocks(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  store ptr %0, ptr %2, align 8
  br label %8

8:                                                ; preds = %20, %1
  %9 = load ptr, ptr %2, align 8
  %10 = getelementptr inbounds %struct.Work, ptr %9, i32 0, i32 8
  store i64 1, ptr %4, align 8
  %11 = load i64, ptr %4, align 8
  %12 = atomicrmw add ptr %10, i64 %11 monotonic, align 8
  store i64 %12, ptr %5, align 8
  %13 = load i64, ptr %5, align 8
  store i64 %13, ptr %3, align 8
  %14 = load i64, ptr %3, align 8
  %15 = load ptr, ptr %2, align 8
  %16 = getelementptr inbounds %struct.Work, ptr %15, i32 0, i32 5
  %17 = load i64, ptr %16, align 8
  %18 = icmp sge i64 %14, %17
  br i1 %18, label %19, label %20

19:                                               ; preds = %8
  ret void

20:                                               ; preds = %8
  %21 = load ptr, ptr %2, align 8
  %22 = load i64, ptr %3, align 8
  call void @run_block(ptr noundef %21, i64 noundef %22) #3
  %23 = load ptr, ptr %2, align 8
  %24 = getelementptr inbounds %struct.Work, ptr %23, i32 0, i32 9
  store i64 1, ptr %6, align 8
  %25 = load i64, ptr %6, align 8
  %26 = atomicrmw add ptr %24, i64 %25 release, align 8
  store i64 %26, ptr %7, align 8
  %27 = load i64, ptr %7, align 8
  br label %8
}

declare i32 @sched_yield() #1

; Function Attrs: nounwind uwtable
define internal void @drop(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  %3 = alloca i64, align 8
  %4 = alloca i64, align 8
  store ptr %0, ptr %2, align 8
  %5 = load ptr, ptr %2, align 8
  %6 = getelementptr inbounds %struct.Work, ptr %5, i32 0, i32 10
  store i64 1, ptr %3, align 8
  %7 = load i64, ptr %3, align 8
  %8 = atomicrmw sub ptr %6, i64 %7 acq_rel, align 8
  %9 = sub i64 %8, %7
  store i64 %9, ptr %4, align 8
  %10 = load i64, ptr %4, align 8
  %11 = icmp eq i64 %10, 0
  br i1 %11, label %12, label %14

12:                                               ; preds = %1
  %13 = load ptr, ptr %2, align 8
  call void @free(ptr noundef %13) #3
  br label %14

14:                                               ; preds = %12, %1
  ret void
}

; Function Attrs: nocallback nofree nounwind willreturn memory(argmem: write)
declare void @llvm.memset.p0.i64(ptr writeonly captures(none), i8, i64, i1 immarg) #2

; Function Attrs: nounwind uwtable
define internal i32 @succeeded(ptr noundef %0, ptr noundef %1) #0 {
  %3 = alloca i32, align 4
  %4 = alloca ptr, align 8
  %5 = alloca ptr, align 8
  %6 = alloca %struct.XLA_FFI_Error_Destroy_Args, align 8
  store ptr %0, ptr %4, align 8
  store ptr %1, ptr %5, align 8
  %7 = load ptr, ptr %5, align 8
  %8 = icmp eq ptr %7, null
  br i1 %8, label %9, label %10

9:                                                ; preds = %2
  store i32 1, ptr %3, align 4
  br label %20

10:                                               ; preds = %2
  %11 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 0
  store i64 24, ptr %11, align 8
  %12 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 1
  store ptr null, ptr %12, align 8
  %13 = getelementptr inbounds %struct.XLA_FFI_Error_Destroy_Args, ptr %6, i32 0, i32 2
  %14 = load ptr, ptr %5, align 8
  store ptr %14, ptr %13, align 8
  %15 = load ptr, ptr %4, align 8
  %16 = getelementptr inbounds %struct.XLA_FFI_CallFrame, ptr %15, i32 0, i32 2
  %17 = load ptr, ptr %16, align 8
  %18 = getelementptr inbounds %struct.XLA_FFI_Api, ptr %17, i32 0, i32 6
  %19 = load ptr, ptr %18, align 8
  call void %19(ptr noundef %6) #3
  store i32 0, ptr %3, align 4
  br label %20

20:                                               ; preds = %10, %9
  %21 = load i32, ptr %3, align 4
  ret i32 %21
}

; Function Attrs: nounwind uwtable
define internal void @help(ptr noundef %0) #0 {
  %2 = alloca ptr, align 8
  store ptr %0, ptr %2, align 8
  %3 = load ptr, ptr %2, align 8
  call void @take_blocks(ptr noundef %3) #3
  %4 = load ptr, ptr %2, align 8
  call void @drop(ptr noundef %4) #3
  ret void
}

; Function Attrs: nounwind uwtable
define internal void @run_block(ptr noundef %0, i64 noundef %1) #0 {
  %3 = alloca ptr, align 8
  %4 = alloca i64, align 8
  %5 = alloca i64, align 8
  %6 = alloca i64, align 8
  %7 = alloca i64, align 8
  %8 = alloca i64, align 8
  %9 = alloca i64, align 8
  %10 = alloca i64, align 8
  store ptr %0, ptr %3, align 8
  store i64 %1, ptr %4, align 8
  store i64 0, ptr %5, align 8
  %11 = load ptr, ptr %3, align 8
  %12 = getelementptr inbounds %struct.Work, ptr %11, i32 0, i32 2
  %13 = load i64, ptr %12, align 8
  %14 = sub nsw i64 %13, 1
  store i64 %14, ptr %6, align 8
  br label %15

15:                                               ; preds = %38, %2
  %16 = load i64, ptr %5, align 8
  %17 = load i64, ptr %6, align 8
  %18 = icmp slt i64 %16, %17
  br i1 %18, label %19, label %39

19:                                               ; preds = %15
  %20 = load i64, ptr %5, align 8
  %21 = load i64, ptr %6, align 8
  %22 = add nsw i64 %20, %21
  %23 = add nsw i64 %22, 1
  %24 = sdiv i64 %23, 2
  store i64 %24, ptr %7, align 8
  %25 = load ptr, ptr %3, align 8
  %26 = getelementptr inbounds %struct.Work, ptr %25, i32 0, i32 7
  %27 = load ptr, ptr %26, align 8
  %28 = load i64, ptr %7, align 8
  %29 = getelementptr inbounds i64, ptr %27, i64 %28
  %30 = load i64, ptr %29, align 8
  %31 = load i64, ptr %4, align 8
  %32 = icmp sle i64 %30, %31
  br i1 %32, label %33, label %35

33:                                               ; preds = %19
  %34 = load i64, ptr %7, align 8
  store i64 %34, ptr %5, align 8
  br label %38

35:                                               ; preds = %19
  %36 = load i64, ptr %7, align 8
  %37 = sub nsw i64 %36, 1
  store i64 %37, ptr %6, align 8
  br label %38

38:                                               ; preds = %35, %33
  br label %15, !llvm.loop !12

39:                                               ; preds = %15
  %40 = load ptr, ptr %3, align 8
  %41 = getelementptr inbounds %struct.Work, ptr %40, i32 0, i32 1
  %42 = load ptr, ptr %41, align 8
  %43 = load i64, ptr %5, align 8
  %44 = load ptr, ptr %3, align 8
  %45 = getelementptr inbounds %struct.Work, ptr %44, i32 0, i32 3
  %46 = load i64, ptr %45, align 8
  %47 = call i64 @row_length(i64 noundef %46) #3
  %48 = mul nsw i64 %43, %47
  %49 = getelementptr inbounds i64, ptr %42, i64 %48
  %50 = load i64, ptr %49, align 8
  store i64 %50, ptr %8, align 8
  %51 = load i64, ptr %4, align 8
  %52 = load ptr, ptr %3, align 8
  %53 = getelementptr inbounds %struct.Work, ptr %52, i32 0, i32 7
  %54 = load ptr, ptr %53, align 8
  %55 = load i64, ptr %5, align 8
  %56 = getelementptr inbounds i64, ptr %54, i64 %55
  %57 = load i64, ptr %56, align 8
  %58 = sub nsw i64 %51, %57
  %59 = load ptr, ptr %3, align 8
  %60 = getelementptr inbounds %struct.Work, ptr %59, i32 0, i32 4
  %61 = load i64, ptr %60, align 8
  %62 = mul nsw i64 %58, %61
  store i64 %62, ptr %9, align 8
  %63 = load i64, ptr %9, align 8
  %64 = load ptr, ptr %3, align 8
  %65 = getelementptr inbounds %struct.Work, ptr %64, i32 0, i32 4
  %66 = load i64, ptr %65, align 8
  %67 = add nsw i64 %63, %66
  %68 = load i64, ptr %8, align 8
  %69 = icmp slt i64 %67, %68
  br i1 %69, label %70, label %76

70:                                               ; preds = %39
  %71 = load i64, ptr %9, align 8
  %72 = load ptr, ptr %3, align 8
  %73 = getelementptr inbounds %struct.Work, ptr %72, i32 0, i32 4
  %74 = load i64, ptr %73, align 8
  %75 = add nsw i64 %71, %74
  br label %78

76:                                               ; preds = %39
  %77 = load i64, ptr %8, align 8
  br label %78

78:                                               ; preds = %76, %70
  %79 = phi i64 [ %75, %70 ], [ %77, %76 ]
  store i64 %79, ptr %10, align 8
  %80 = load ptr, ptr %3, align 8
  %81 = getelementptr inbounds %struct.Work, ptr %80, i32 0, i32 0
  %82 = load ptr, ptr %81, align 8
  %83 = load ptr, ptr %3, align 8
  %84 = getelementptr inbounds %struct.Work, ptr %83, i32 0, i32 6
  %85 = load ptr, ptr %84, align 8
  %86 = load i64, ptr %5, align 8
  %87 = load ptr, ptr %3, align 8
  %88 = getelementptr inbounds %struct.Work, ptr %87, i32 0, i32 3
  %89 = load i64, ptr %88, align 8
  %90 = mul nsw i64 %86, %89
  %91 = getelementptr inbounds ptr, ptr %85, i64 %90
  %92 = load i64, ptr %9, align 8
  %93 = load i64, ptr %10, align 8
  call void %82(ptr noundef %91, i64 noundef %92, i64 noundef %93) #3
  ret void
}

declare void @free(ptr noundef) #1

attributes #0 = { nounwind uwtable "min-legal-vector-width"="0" "no-builtins" "no-trapping-math"="true" "stack-protector-buffer-size"="8" }
attributes #1 = { "no-builtins" "no-trapping-math"="true" "stack-protector-buffer-size"="8" }
attributes #2 = { nocallback nofree nounwind willreturn memory(argmem: write) }
attributes #3 = { nobuiltin "no-builtins" }

!llvm.module.flags = !{!0, !1, !2, !3, !4}

!0 = !{i32 7, !"Dwarf Version", i32 4}
!1 = !{i32 1, !"wchar_size", i32 4}
!2 = !{i32 8, !"PIC Level", i32 2}
!3 = !{i32 7, !"uwtable", i32 2}
!4 = !{i32 7, !"frame-pointer", i32 2}
!5 = !{!"clang version 22.1.8"}
!6 = distinct !{!6, !7}
!7 = !{!"llvm.loop.mustprogress"}
!8 = distinct !{!8, !7}
!9 = distinct !{!9, !7}
!10 = distinct !{!10, !7}
!11 = distinct !{!11, !7}
!12 = distinct !{!12, !7}
